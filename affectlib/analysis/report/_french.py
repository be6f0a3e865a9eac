"""The report in French."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
    "octobre", "novembre", "décembre",
)  # fmt: skip

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "title": "Usage affectif d’un assistant IA",
        "made": "Établi le {date} avec affectlib {version}",
        "made_with": "étiquetage par {model}",
        "to": "{low} à {high}",
        "point": "{value} point",
        "points": "{value} points",
        "hidden": "non affiché",
        "quoted": "« {text} »",
        "unknown": "inconnu",
        "fewer": "moins de {users}",
        "control": "maintenu constant",
        "contents": "Sommaire",
        "units.conversation": "conversations",
        "units.message": "messages d’utilisateurs",
        "own.conversation": "conversations",
        "own.message": "messages",
        "question.title": "La question",
        "question.text": "Quelle part de l’usage que reflètent ces conversations a une charge "
        "affective, chez quels utilisateurs, et augmente-t-elle ? Il y a charge quand les "
        "sentiments de l’utilisateur lui-même, ses relations, son bien-être ou son lien avec "
        "l’assistant y tiennent une vraie place. Une fiction, une traduction ou une dissertation "
        "sur les sentiments reste une tâche, si tristes qu’en soient les mots.",
        "question.labels": "Un programme a lu les conversations et attribué une étiquette à "
        "chacune.",
        "question.hand": "Aucune personne n’a donné d’étiquette, sauf là où cette page parle "
        "d’annotations.",
        "question.model": "Aucune personne n’a donné d’étiquette. Là où cette page parle de "
        "réponses du modèle de langage, elles viennent de {models}.",
        "question.mixed": "Aucune personne n’a donné d’étiquette, sauf pour une partie de ce que "
        "cette page appelle réponses de la feuille ; les autres viennent de {models}.",
        "answers.hand": "annotations",
        "answers.model": "réponses du modèle de langage",
        "answers.mixed": "réponses de la feuille",
        "who.model": "{model}",
        "who.prompt": "{model} (consigne {prompt})",
        "and": " et ",
        "filled.model": "Les réponses de la feuille viennent d’un modèle de langage, {models}, et "
        "non de personnes. Les intervalles ne comprennent pas les erreurs d’un tel modèle. "
        "Comparez ses réponses à une feuille remplie par une personne "
        "(affectlib evaluate --agreement).",
        "filled.mixed": "Une partie des réponses de la feuille vient d’un modèle de langage, "
        "{models}, et non de personnes. Les intervalles ne comprennent pas les erreurs d’un tel "
        "modèle. Comparez ses réponses à une feuille remplie par une personne (affectlib "
        "agreement).",
        "short.title": "En bref",
        "short.none": "Ici, aucun chiffre n’est corrigé des erreurs du programme ; ce résumé n’en "
        "donne donc pas.",
        "short.advice": "Annotez un échantillon à la main (affectlib sample) pour les corriger.",
        "card.share": "des {units} ont une charge affective",
        "card.interval": "intervalle à 95 % : {interval}",
        "card.labelled": "des {units} : le programme y voit une charge",
        "card.count": "un décompte, pas une estimation",
        "card.all": "dans ce rapport",
        "card.users": "utilisateurs",
        "card.people": "à l’origine de ces échanges",
        "overall.title": "Est-ce fréquent ?",
        "overall.text": "La part de tout ce qu’écriraient des utilisateurs comparables n’est pas "
        "connue exactement. C’est pourquoi chaque estimation a son intervalle : si l’étude était "
        "refaite de nombreuses fois, environ 95 de ces intervalles sur 100 contiendraient la vraie "
        "part.",
        "overall.users": "Les intervalles tiennent compte des utilisateurs qui ont beaucoup de "
        "{units}.",
        "overall.no_users": "En l’absence d’identifiants d’utilisateurs, chaque élément ({units}) "
        "compte séparément ; si un utilisateur en a plusieurs, les intervalles sont trop étroits.",
        "overall.corrected": "À lui seul, le programme a trouvé une charge dans {naive} des "
        "{units}. Il en signale à tort plus qu’il n’en laisse passer (là où la charge est rare, "
        "quelques erreurs sur tout le reste s’additionnent) ; ces deux erreurs corrigées, la part "
        "est de {best}.",
        "overall.corrected_up": "À lui seul, le programme a trouvé une charge dans {naive} des "
        "{units}. Il en laisse passer plus qu’il n’en signale à tort ; ces deux erreurs corrigées, "
        "la part est de {best}.",
        "overall.corrected_same": "À lui seul, le programme a trouvé une charge dans {naive} des "
        "{units}. Ce qu’il laisse passer et ce qu’il signale à tort se compensent : ces deux "
        "erreurs corrigées, la part est la même.",
        "overall.by_hand": "À lui seul, le programme a trouvé une charge dans {naive} des {units}. "
        "Les {hand} montrent que ses étiquettes ne distinguent guère ici ce qui est chargé du "
        "reste ; la part est donc celle des {hand} seules : {best}.",
        "overall.hidden": "Non montré : ces {units} viennent de moins de {users} utilisateurs.",
        "overall.few": "C’est la part que le programme a trouvée, erreurs comprises. Les {hand} "
        "portent sur moins de {users} utilisateurs et ne corrigent donc rien. Il faut pour cela "
        "annoter des {units} de plus d’utilisateurs.",
        "overall.naive_only": "C’est la part que le programme a trouvée, erreurs comprises. Là où "
        "la charge est rare, cette part est souvent trop haute. Annotez un échantillon à la main "
        "(affectlib sample) pour la corriger.",
        "overall.no_origin": "Aucune colonne « provenance » ne dit quel programme a donné les "
        "étiquettes : ses erreurs connues ne sont donc pas corrigées. Ouvrez avec read_labels le "
        "fichier écrit par affectlib label, ou gardez cette colonne.",
        "overall.shift": "Les erreurs du programme ont été mesurées sur d’autres conversations. "
        "L’intervalle tient compte du fait que les vôtres peuvent être d’un autre genre ; il est "
        "donc large. Un échantillon annoté à la main le resserre.",
        "overall.caption": "Part des {units} avec charge affective, par méthode, avec intervalle à "
        "95 %.",
        "overall.little": "L’intervalle, {interval}, est large par rapport à la part. Annotez à la "
        "main environ {rows} lignes de plus, tirées avec affectlib sample, pour connaître la part "
        "à plus ou moins la moitié de sa valeur.",
        "overall.too_few": "L’intervalle, {interval}, est large par rapport à la part. Annoter à "
        "la main davantage de ces {units} ne suffirait pas pour la connaître à plus ou moins la "
        "moitié de sa valeur : il y en a trop peu, ou de trop peu d’utilisateurs.",
        "overall.caption_labelled": "Part des {units} avec étiquette de charge, erreurs du "
        "programme comprises, avec son intervalle à 95 %.",
        "overall.grid": "Part avec charge affective, par méthode",
        "overall.grid_labelled": "Part étiquetée comme chargée",
        "overall.finding": "Environ {share} des {units} ont une charge affective (intervalle à 95 "
        "% : {interval} ; méthode : {method}).",
        "overall.finding_labelled": "Le programme a trouvé une charge affective dans {share} des "
        "{units}, erreurs comprises. Rien n’a été annoté à la main ici : corrigée des erreurs "
        "mesurées sur d’autres conversations, la part peut se situer n’importe où dans {interval}.",
        "method.naive": "Étiquettes comptées",
        "method.gold": "{Hand} seules",
        "method.rogan_gladen": "Corrigé des erreurs connues",
        "method.ppi": "Étiquettes et {hand} ensemble",
        "time.title": "Est-ce en hausse ?",
        "time.text": "Un point par {period}. Le premier et le dernier peuvent être incomplets. La "
        "ligne s’interrompt là où il y a trop peu d’utilisateurs.",
        "time.text_table": "Une ligne du tableau par {period}. La première et la dernière peuvent "
        "être incomplètes.",
        "time.rose": "Du {first} au {last}, la part des {units} avec charge affective a augmenté "
        "de {change} (intervalle à 95 % : {interval}), selon une droite ajustée à l’ensemble.",
        "time.fell": "Du {first} au {last}, la part des {units} avec charge affective a baissé "
        "(variation : {change} ; intervalle à 95 % : {interval}), selon une droite ajustée à "
        "l’ensemble.",
        "time.flat": "Du {first} au {last}, pas de changement net de la part des {units} avec "
        "charge affective : {change} (intervalle à 95 % : {interval}), selon une droite ajustée à "
        "l’ensemble.",
        "time.no_line": "Aucun changement sur toute la durée n’est donc indiqué.",
        "time.caption": "Part des {units} avec charge affective, par {period} ; la bande est "
        "l’intervalle à 95 %.",
        "time.caption_labelled": "Part des {units} avec étiquette de charge, par {period}, erreurs "
        "du programme comprises ; la bande est l’intervalle à 95 %.",
        "period.day": "jour",
        "period.week": "semaine",
        "period.month": "mois",
        "groups.title": "Selon « {column} »",
        "groups.text": "Pour chaque groupe de « {column} » : la part de ses {units} qui ont une "
        "charge affective.",
        "groups.text_labelled": "Pour chaque groupe de « {column} » : la part de ses {units} "
        "avec étiquette de charge.",
        "groups.compared": "Le second tableau compare les utilisateurs de chaque groupe à ceux du "
        "plus grand, par des moyennes sur les utilisateurs : chacun compte une fois, quel que soit "
        "son usage. Une différence est la moyenne du premier groupe nommé moins celle de l’autre, "
        "la part étant celle des {units} de chaque utilisateur ; les différences de parts sont en "
        "points de pourcentage. L’effet est la différence en écarts types, erreurs comprises (g de "
        "Hedges ; on dit souvent petit pour 0,2 et grand pour 0,8) ; q est la valeur p ajustée au "
        "nombre de comparaisons.",
        "groups.uncorrected": "Les différences entre utilisateurs sont donc celles des étiquettes, "
        "sans correction.",
        "groups.caption": "Part des {units} avec charge affective selon « {column} », avec "
        "intervalle à 95 %.",
        "groups.caption_labelled": "Part des {units} avec étiquette de charge selon « {column} », "
        "avec intervalle à 95 %.",
        "groups.grid": "Part des {units} de chaque groupe avec charge affective",
        "groups.grid_labelled": "Part des {units} de chaque groupe avec étiquette de charge",
        "groups.differences": "Différences entre utilisateurs",
        "groups.against": "{outcome} : {group} comparé à {reference}",
        "outcome.own_share": "Part des {units} d’un utilisateur avec charge affective",
        "outcome.own_share_labelled": "Part des {units} d’un utilisateur avec étiquette de charge",
        "outcome.messages": "Messages",
        "users.title": "Qui est concerné ?",
        "users.text": "Si tous les utilisateurs avaient autant de tours étiquetés comme chargés, "
        "la courbe serait la ligne pointillée. Plus elle est en dessous, moins il faut "
        "d’utilisateurs pour en réunir la plus grande partie.",
        "users.lorenz": "Les utilisateurs, de ceux qui ont le moins de tours étiquetés comme "
        "chargés à ceux qui en ont le plus, et leur part cumulée de tous ces tours (courbe de "
        "Lorenz).",
        "users.grid": "Concentration des tours étiquetés comme chargés",
        "users.top": "Part de ces tours chez les {share} d’utilisateurs qui en ont le plus",
        "users.gini": "Coefficient de Gini (0 : égalité, 1 : tout chez un seul)",
        "users.note": "Si les erreurs du programme touchent tous les utilisateurs de la même "
        "façon, ce qui est une hypothèse, l’usage affectif est plus concentré qu’il ne paraît ici.",
        "deciles.title": "Usage intensif",
        "deciles.text": "Les utilisateurs sont classés par nombre de messages et répartis en dix "
        "groupes de même taille.",
        "deciles.finding": "Chez les 10 % d’utilisateurs les plus actifs, {high} de leurs {units} "
        "ont une charge affective (intervalle à 95 % : {high_interval}) ; chez les 10 % les moins "
        "actifs, {low} (intervalle à 95 % : {low_interval}).",
        "deciles.caption": "Part des {units} avec charge affective, du décile d’utilisateurs le "
        "moins actif (1) au plus actif (10), avec intervalle à 95 %.",
        "deciles.caption_labelled": "Part des {units} avec étiquette de charge, du décile "
        "d’utilisateurs le moins actif (1) au plus actif (10), avec intervalle à 95 %.",
        "trend.title": "Les utilisateurs changent-ils ?",
        "trend.text": "Pour {users} utilisateurs, actifs pendant au moins quatre semaines, une "
        "droite a été ajustée à leur part hebdomadaire de tours étiquetés comme chargés. Il y a "
        "hausse ou baisse si leurs conversations, réparties au hasard entre les semaines, donnent "
        "rarement une pente aussi forte, avec un taux de fausses découvertes de 5 %.",
        "trend.grid": "Utilisateurs selon la direction",
        "trend.rising": "En hausse",
        "trend.flat": "Sans changement net",
        "trend.falling": "En baisse",
        "trend.note": "La plupart ont trop peu de tours chargés pour que l’on distingue une "
        "tendance du hasard ; « sans changement net » ne prouve pas qu’il n’y en a pas. Tant que "
        "les erreurs du programme restent les mêmes au fil du temps, elles ne font monter ni "
        "descendre personne : elles cachent seulement une partie de ceux qui changent.",
        "associated.title": "Ce qui va de pair avec « {outcome} »",
        "associated.text": "Régression linéaire de « {outcome} » sur le décile d’usage, {rate} "
        "et les groupes de ce rapport, pour {users} utilisateurs. Un coefficient "
        "indique de combien « {outcome} » diffère entre des utilisateurs qui diffèrent d’une unité "
        "sur cette ligne et se ressemblent sur les autres ; les intervalles tiennent compte de "
        "variances inégales (HC3).",
        "associated.rate": "le taux de tours chargés",
        "associated.rate_labelled": "le taux de tours étiquetés comme chargés",
        "associated.finding": "Les utilisateurs dont le taux de tours chargés dépasse de 10 points "
        "celui d’utilisateurs semblables sur les autres lignes du tableau diffèrent d’eux de "
        "{value} pour « {outcome} » (intervalle à 95 % : {interval} ; un nombre négatif indique "
        "une valeur plus basse). C’est une association, pas un effet.",
        "associated.calibrated": "Le taux de tours chargés est corrigé par calibration de "
        "régression, et les intervalles tiennent compte de ce que l’on ignore des erreurs du "
        "programme. Hypothèse : il se trompe aussi souvent avec chaque utilisateur.",
        "associated.contradicted": "Les {hand} contredisent cette hypothèse : d’après elles, le "
        "programme se trompe autrement dans certains groupes de {columns} que dans l’ensemble.",
        "associated.unreliable": "Le taux est celui des tours étiquetés comme chargés. Les erreurs "
        "du programme rapprochent son coefficient de 0. Il n’est pas corrigé, car les différences "
        "entre utilisateurs tiennent surtout à ces erreurs.",
        "associated.labelled": "Le taux est celui des tours étiquetés comme chargés. Les erreurs "
        "du programme rapprochent son coefficient de 0.",
        "associated.hidden": "Non montré : les données de ces utilisateurs ne permettent pas de "
        "régression. Moins de {users} ont une valeur dans chaque colonne, un groupe est plus "
        "petit, ou une colonne répète ce que disent les autres.",
        "associated.grid": "Coefficients",
        "term.usage_decile": "Décile d’usage (1 à 10)",
        "term.charged_rate": "Taux de tours chargés (0 à 1)",
        "term.charged_rate_labelled": "Taux de tours étiquetés comme chargés (0 à 1)",
        "within.title": "Au fil des conversations",
        "within.text": "Chaque conversation d’au moins trois messages d’un même rôle est coupée en "
        "trois parts égales. Ce que fait l’assistant est indiqué à côté de ce que fait "
        "l’utilisateur.",
        "within.labelled": "Les indices et le début de la charge sont comptés d’après les "
        "étiquettes du programme, erreurs comprises. Dans les longues conversations, les fausses "
        "alertes s’additionnent, et un tour chargé que le programme manque fait paraître la charge "
        "plus tardive.",
        "within.caption": "Part des messages chargés (utilisateurs) ou étiquetés d’un indice "
        "(assistant) au début, au milieu et à la fin des conversations, avec intervalle à 95 %.",
        "within.caption_labelled": "Part des messages étiquetés comme chargés (utilisateurs) ou "
        "étiquetés d’un indice (assistant) au début, au milieu et à la fin des conversations, avec "
        "intervalle à 95 %.",
        "within.later": "Conversations qui commencent par une tâche",
        "within.later_row": "Un tour suivant est chargé",
        "within.later_note": "La fréquence à laquelle une conversation commencée par une tâche "
        "devient chargée est corrigée des erreurs du programme : celles sur les conversations "
        "(méthode : {whole}) et celles sur les premiers tours (méthode : {first}). Hypothèses : "
        "une conversation est chargée si l’un de ses tours l’est, et le programme se trompe autant "
        "au premier tour qu’aux suivants.",
        "within.unexplained": "Ici, plus de messages sont étiquetés comme chargés que n’en "
        "étiquetterait un programme qui fait les erreurs connues. Ses erreurs sont donc autres "
        "ici, et rien n’est corrigé.",
        "within.onset": "Où le programme donne la première étiquette de charge, parmi les "
        "conversations qui en ont",
        "followed.charged": "Utilisateur : chargé",
        "followed.charged_labelled": "Utilisateur : étiqueté comme chargé",
        "followed.shows_empathy_labelled": "Assistant : empathie, selon le programme",
        "followed.claims_affection_labelled": "Assistant : déclare de l’affection, selon le "
        "programme",
        "part.start": "début",
        "part.middle": "milieu",
        "part.end": "fin",
        "onset.turn 1": "Tour 1",
        "onset.turn 2": "Tour 2",
        "onset.turns 3 to 5": "Tours 3 à 5",
        "onset.turns 6 to 10": "Tours 6 à 10",
        "onset.after turn 10": "Après le tour 10",
        "onset.turned": "Conversations qui commencent par une tâche : un tour suivant est étiqueté "
        "comme chargé",
        "cues.title": "Quels indices, et lesquels ensemble",
        "cues.text": "Un indice compte comme présent si le programme lui donne au moins la "
        "probabilité de la dernière colonne du tableau. La fiche du modèle dit jusqu’où s’y fier.",
        "cues.caption": "Combien de fois plus souvent deux indices apparaissent ensemble dans les "
        "{units} que s’ils étaient indépendants : 1, comme attendu ; plus de 1 (vert), plus "
        "souvent ; moins de 1 (violet), moins souvent. Une case est vide si les deux indices ne "
        "sont jamais apparus ensemble, ou chez trop peu d’utilisateurs.",
        "cues.alike": "Ici, tous les indices comptent à partir de la même probabilité, car les "
        "seuils propres au modèle ne sont pas connus pour ces étiquettes. Là où ils le sont, comme "
        "pour les fichiers Parquet d’affectlib label, les parts des indices sont différentes.",
        "cues.grid": "Part étiquetée de chaque indice parmi les {units}",
        "cue.shares_feelings": "Partage ses sentiments",
        "cue.seeks_support": "Cherche du soutien",
        "cue.seeks_personal_advice": "Demande un conseil personnel",
        "cue.seeks_company": "Cherche de la compagnie",
        "cue.expresses_affection": "Exprime de l’affection",
        "cue.expresses_hostility": "Exprime de l’hostilité",
        "cue.humanizes_assistant": "Humanise l’assistant",
        "cue.shows_dependence": "Montre de la dépendance",
        "cue.in_crisis": "En crise",
        "cue.shows_empathy": "Montre de l’empathie",
        "cue.claims_affection": "Déclare de l’affection",
        "themes.title": "De quoi parle l’usage affectif ?",
        "themes.text": "Parmi les {units} où le programme voit une charge, la part qui porte sur "
        "chaque thème. Il peut y en avoir plusieurs, ou aucun. Les cas signalés par erreur n’ont "
        "aucun thème.",
        "themes.caption": "Part de chaque thème parmi les {units} où le programme voit une charge, "
        "avec intervalle à 95 %.",
        "themes.caption_labelled": "Part étiquetée de chaque thème parmi les {units} où le "
        "programme voit une charge, erreurs comprises, avec intervalle à 95 %.",
        "themes.grid": "Thèmes des {units} où le programme voit une charge",
        "themes.by": "Thèmes fréquents selon « {column} »",
        "themes.over_time": "Thèmes fréquents par {period}",
        "themes.kinds": "Types d’usage étiquetés des {units} où le programme voit une charge, "
        "erreurs comprises",
        "themes.kinds_text": "Le programme donne aussi à chacun de ces cas un seul type d’usage. "
        "Ce sont les types du rapport d’Anthropic de 2025 sur l’usage affectif de Claude ; ils "
        "découlent des indices et des thèmes par des règles, sans apprentissage.",
        "themes.alike": "Ici, tous les thèmes comptent à partir de la même probabilité, car les "
        "seuils propres au modèle ne sont pas connus pour ces étiquettes. Là où ils le sont, comme "
        "pour les fichiers Parquet d’affectlib label, les parts des thèmes sont différentes.",
        "themes.shift": "Hypothèse : le programme reconnaît chaque thème dans ces conversations "
        "aussi bien que dans celles où cela a été mesuré.",
        "themes.contradicted": "Dans certains de ces groupes ou périodes, les {hand} contredisent "
        "cela. La part y est celle des {hand} seules.",
        "themes.finding": "Le thème le plus fréquent des {units} où le programme voit une charge "
        "est « {theme} » : {share} (intervalle à 95 % : {interval} ; méthode : {method}).",
        "themes.finding_among": "« {theme} » compte parmi les thèmes les plus fréquents des "
        "{units} où le programme voit une charge : {share} (intervalle à 95 % : {interval} ; "
        "méthode : {method}).",
        "use_kind.interpersonal_advice": "Conseil relationnel",
        "use_kind.coaching": "Coaching",
        "use_kind.counselling": "Soutien psychologique et psychothérapie",
        "use_kind.companionship": "Compagnie",
        "use_kind.romantic_roleplay": "Jeu de rôle romantique ou sexuel",
        "use_kind.other": "Autre usage chargé",
        "role.user": "utilisateur",
        "role.assistant": "assistant",
        "quality.title": "Que valent les étiquettes ?",
        "quality.measured": "Le premier tableau compare les étiquettes aux {hand}, en "
        "tenant compte de leurs poids : ses chiffres sont des estimations pour l’ensemble des "
        "{units}.",
        "quality.all_charged": "Toutes les {hand} indiquent une charge : elles ne disent pas à "
        "quelle fréquence le programme signale des {units} qui n’en ont pas, ni s’il les classe "
        "bien.",
        "quality.all_task": "Toutes les {hand} indiquent une tâche : elles ne disent pas combien "
        "des {units} avec charge le programme trouve, ni s’il les classe bien.",
        "quality.few": "Non montré : les {hand} portent sur moins de {users} utilisateurs.",
        "quality.unranked": "Parmi les {units} qui ont des {hand}, {rows} sont sans probabilité. "
        "La précision moyenne, l’AUROC, l’erreur de calibration et le second tableau n’en tiennent "
        "pas compte.",
        "quality.measures": "Étiquettes des {units} et {hand}",
        "quality.recall": "Rappel : part des cas chargés que le programme trouve",
        "quality.specificity": "Spécificité : part des autres qu’il ne signale pas",
        "quality.precision": "Précision : part des cas signalés par le programme qui sont chargés",
        "quality.average precision": "Précision moyenne : aire sous la courbe de précision et de "
        "rappel, plus basse quand la charge est rare",
        "quality.AUROC": "AUROC : fréquence à laquelle un cas chargé a une probabilité plus haute "
        "qu’un cas non chargé",
        "quality.calibration error": "Erreur de calibration : écart moyen entre la probabilité et "
        "la part",
        "calibration.text": "Quand le programme dit 30 %, environ 30 % des {hand} devraient "
        "indiquer une charge.",
        "calibration.points": "Les points devraient se trouver sur la ligne pointillée.",
        "calibration.caption": "Part des {hand} avec charge selon la probabilité donnée, avec "
        "intervalle à 95 %.",
        "calibration.grid": "Probabilités et {hand}",
        "missing.excerpts": "Des exemples : aucun texte étiqueté comme chargé n’a de probabilité ; "
        "on ne sait donc pas desquels le programme est le plus sûr.",
        "excerpts.title": "Exemples",
        "excerpts.text": "Les messages dont le programme est le plus sûr. Ce sont les plus "
        "chargés, non des messages typiques.",
        "excerpts.place": "Conversation {conversation}, probabilité {probability}",
        "data.title": "Les données",
        "data.grid": "Sur quoi les chiffres reposent, et ce qui a été écarté",
        "data.dates": "Dates",
        "data.from_to": "du {first} au {last}",
        "data.labelled": "{units} avec étiquette",
        "data.emotional": "dont étiquette de charge",
        "data.users": "utilisateurs",
        "data.failed": "enregistrements illisibles (écartés)",
        "data.unread": "{units} sans texte, hors de tous les calculs",
        "data.strangers": "{units} sans identifiant d’utilisateur, hors des parties sur les "
        "utilisateurs",
        "data.undated": "{units} sans date (hors de la partie sur l’évolution)",
        "data.cut": "unités de texte (tokens) non lues, car le message était trop long",
        "data.gold": "lignes de la feuille ({hand})",
        "missing.title": "Ce que ce rapport ne peut pas dire",
        "missing.time": "Si l’usage affectif augmente : il n’y a pas de dates, ou elles couvrent "
        "moins de deux jours.",
        "missing.themes": "Les thèmes de l’usage affectif : les étiquettes n’ont pas de thèmes (le "
        "modèle qui les a posées n’en connaît peut-être pas), ou aucune n’indique de charge.",
        "missing.within": "Ce qui se passe au fil des conversations : il faut les étiquettes des "
        "messages (affectlib label --level message), et des conversations d’au moins trois "
        "messages d’un même rôle.",
        "missing.quality": "Ce que valent les étiquettes sur ces conversations : il faut un "
        "échantillon annoté à la main (affectlib sample).",
        "missing.people": "Qui est concerné : il n’y a pas d’identifiants d’utilisateurs.",
        "methods.title": "Comment cela a été mesuré",
        "methods.label": "Un réseau de neurones (transformer) lit chaque message de l’utilisateur "
        "et donne la probabilité d’une charge ; un seuil en fait une étiquette. L’étiquette d’une "
        "conversation découle des scores de ses messages.",
        "methods.corrected": "« Corrigé des erreurs connues » retire les erreurs que fait un "
        "programme de cette sensibilité et de cette spécificité (Rogan et Gladen 1978), en tenant "
        "compte de l’incertitude des deux. « Étiquettes et {hand} ensemble » y ajoute ce que "
        "les {hand} montrent de ces erreurs (inférence assistée par des prédictions ; Angelopoulos "
        "et al. 2023), les erreurs connues servant de loi a priori (Gelman et Carpenter 2020) "
        "dans la mesure où les {hand} les confirment (Schmidli et al. 2014). La méthode convient "
        "donc aussi quand les {hand} sont peu nombreuses. Différences et pentes sont divisées par "
        "sensibilité + spécificité − 1.",
        "methods.labelled": "Un chiffre qui ne peut pas être corrigé est dit « étiqueté ». Il est "
        "en orange dans les tableaux et les graphiques, où son point est creux, et absent du "
        "résumé. Les thèmes sont ceux des cas où le programme voit une charge, fausses alertes "
        "comprises.",
        "methods.clusters": "Les messages d’une même personne se ressemblent. Les intervalles des "
        "parts sont calculés sur les utilisateurs, pas sur les messages (jackknife), et ceux de la "
        "concentration en tirant de nouveau les utilisateurs au sort (bootstrap-t).",
        "methods.hidden": "Les chiffres de moins de {users} utilisateurs ne sont pas montrés, ni "
        "ceux dont on pourrait les déduire par soustraction, afin que personne ne puisse être "
        "reconnu.",
        "methods.all": "Les chiffres sont montrés même s’ils portent sur peu d’utilisateurs. "
        "Pensez aux personnes qui pourraient être reconnues avant de transmettre cette page.",
        "limits.title": "À garder en tête",
        "limits.labels": "Les étiquettes viennent d’un programme. Il laisse passer des "
        "conversations chargées et en signale qui ne le sont pas ; ce qui n’est pas corrigé plus "
        "haut contient ces erreurs.",
        "limits.who": "Ces conversations ne sont représentatives que d’elles-mêmes. Les personnes "
        "qui les ont partagées, exportées ou gardées peuvent différer des autres utilisateurs.",
        "limits.cause": "Rien ici ne montre qu’une chose en cause une autre. La façon de se servir "
        "d’un assistant et le bien-être des personnes peuvent avoir des causes communes, non "
        "mesurées.",
        "limits.person": "Cette page décrit beaucoup de personnes ensemble. Ce n’est pas un "
        "diagnostic, et elle ne permet de juger personne en particulier.",
        "note.association": "Une association, pas une cause : les groupes peuvent différer à bien "
        "des égards qui n’ont pas été mesurés.",
        "note.labelled": "Ces chiffres comptent les étiquettes du programme, erreurs comprises. "
        "Ils ne sont pas corrigés.",
        "note.same_errors": "Hypothèse : dans chacun de ces groupes ou périodes, le programme "
        "trouve la même part de ce qui est chargé, et signale la même part de ce qui ne l’est pas, "
        "que dans l’ensemble.",
        "note.contradicted": "Les {hand} contredisent cette hypothèse pour {groups}. La part y est "
        "celle des {hand} seules.",
        "note.useless": "Les {hand} montrent que les étiquettes du programme ne distinguent guère "
        "ce qui est chargé du reste ; ces parts sont donc celles des {hand} seules.",
        "note.left_out": "Un graphique est omis, car trop peu de ses valeurs peuvent être "
        "affichées.",
        "grid.behind": "Les chiffres du graphique",
        "grid.numbers": "Les chiffres",
        "axis.share": "Part avec charge",
        "axis.labelled": "Étiquette de charge",
        "axis.themes": "Part de ces {units}",
        "axis.messages": "Part des messages",
        "axis.of_users": "Utilisateurs, ceux qui en ont le moins d’abord",
        "axis.of_charge": "Leur part des tours étiquetés",
        "axis.decile": "Décile d’utilisateurs selon l’usage",
        "axis.part": "Part de la conversation",
        "axis.probability": "Probabilité donnée",
        "axis.hand": "Charge selon les {hand}",
        "head.method": "Méthode",
        "head.share": "Part",
        "head.interval": "Intervalle à 95 %",
        "head.hand": "{Hand}",
        "head.day": "Jour",
        "head.week": "Semaine du",
        "head.month": "Mois",
        "head.conversation": "Conversations",
        "head.message": "Messages",
        "head.users": "Utilisateurs",
        "head.probability": "Probabilité moyenne",
        "head.charged": "Charge",
        "head.comparison": "Comparaison",
        "head.difference": "Différence",
        "head.effect": "Effet (g)",
        "head.q": "q",
        "head.measure": "Mesure",
        "head.estimate": "Estimation",
        "head.decile": "Décile",
        "head.direction": "Direction",
        "head.term": "Ligne",
        "head.coefficient": "Coefficient",
        "head.standardized": "Standardisé",
        "head.cue": "Indice",
        "head.theme": "Thème",
        "head.use_kind": "Type d’usage",
        "head.whose": "De qui",
        "head.from": "À partir de",
        "head.fact": "Élément",
        "head.number": "Nombre",
    }
)
