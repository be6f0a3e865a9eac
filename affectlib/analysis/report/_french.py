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
        "made_with": "étiquettes de {model}",
        "to": "{low} à {high}",
        "points": "{value} points",
        "hidden": "non montré",
        "unknown": "inconnu",
        "fewer": "moins de {users}",
        "control": "maintenu constant",
        "contents": "Sommaire",
        "units.conversation": "conversations",
        "units.message": "messages d’utilisateurs",
        "question.title": "La question",
        "question.text": "Quelle part de l’usage derrière ces conversations a une charge affective,"
        " chez qui, et grandit-elle ? Il y a charge quand les propres sentiments de l’utilisateur,"
        " ses relations, son bien-être ou son lien avec l’assistant y ont une vraie part. Fiction,"
        " traductions et dissertations sur les sentiments sont des tâches, si tristes que soient "
        "les mots.",
        "question.labels": "Un programme a lu les conversations et donné à chacune une étiquette. "
        "Personne d’autre ne l’a fait, sauf là où cette page parle d’annotations à la main.",
        "short.title": "En bref",
        "card.share": "des {units} : charge affective",
        "card.labelled_share": "des {units} : étiquette de charge, non corrigé",
        "card.interval": "intervalle à 95 % : {interval}",
        "card.labelled": "avec une étiquette du programme",
        "card.users": "utilisateurs",
        "card.people": "qui les ont eues",
        "overall.title": "Est-ce fréquent ?",
        "overall.text": "La meilleure estimation est celle de la dernière ligne du tableau qui "
        "ait pu être remplie. L’intervalle dit à quelle distance la vraie part peut se trouver : "
        "sur 100 intervalles ainsi faits, environ 95 la contiennent.",
        "overall.users": "Il tient compte des utilisateurs qui ont beaucoup de {units}.",
        "overall.no_users": "Sans identifiants d’utilisateurs, chaque élément ({units}) compte pour"
        " lui seul ; si un utilisateur en a plusieurs, les intervalles sont trop étroits.",
        "overall.corrected": "Le programme seul a trouvé une charge dans {naive} des {units}. Là où"
        " la charge est rare, ses quelques erreurs sur tout le reste s’additionnent ; une fois "
        "corrigées, la part est de {best}.",
        "overall.naive_only": "C’est la part que le programme a trouvée, erreurs comprises. Là où "
        "la charge est rare, elle est souvent trop haute. Annotez un échantillon à la main "
        "(affectlib sample) pour la corriger.",
        "overall.shift": "La correction se sert des erreurs du programme sur d’autres "
        "conversations. Si les vôtres en diffèrent, la part corrigée se trompe de plus que ne dit "
        "son intervalle. Un échantillon annoté à la main lève ce doute.",
        "overall.labels": "Là où graphiques et tableaux ci-dessous parlent d’étiquettes, ce sont "
        "celles du programme, erreurs comprises : fiez-vous aux différences plus qu’aux niveaux.",
        "overall.caption": "Part des {units} avec charge affective, par méthode, avec intervalle à "
        "95 %.",
        "overall.grid": "Part avec charge affective, par méthode",
        "overall.finding": "Environ {share} des {units} ont une charge affective (intervalle à 95 %"
        " : {interval} ; méthode : {method}).",
        "overall.finding_naive": "Le programme a donné une étiquette de charge à {share} des "
        "{units} ({interval}). Ce n’est pas corrigé de ses erreurs, et souvent trop haut.",
        "method.naive": "Étiquettes comptées",
        "method.gold": "Annotations seules",
        "method.rogan_gladen": "Corrigé des erreurs connues",
        "method.ppi": "Étiquettes et annotations",
        "time.title": "Cela grandit-il ?",
        "time.text": "Un point par {period}. Le premier et le dernier peuvent être incomplets.",
        "time.finding": "La part étiquetée comme chargée était de {first} ({first_interval}) au "
        "premier point et de {last} ({last_interval}) au dernier ({period}).",
        "time.caption": "Part des {units} avec étiquette de charge, par {period} ; la bande est "
        "l’intervalle à 95 %.",
        "time.grid": "Les chiffres du graphique",
        "period.day": "jour",
        "period.week": "semaine",
        "period.month": "mois",
        "groups.title": "Selon « {column} »",
        "groups.text": "La part étiquetée comme chargée dans chaque groupe de « {column} ».",
        "groups.compared": "Le second tableau compare les utilisateurs : chacun compte une fois, "
        "quel que soit son usage. L’effet est la différence en écarts types (g de Hedges ; on dit "
        "souvent petit pour 0,2 et grand pour 0,8). Les différences de parts sont en points de "
        "pourcentage ; q est la valeur p ajustée au nombre de comparaisons.",
        "groups.caption": "Part des {units} avec étiquette de charge selon « {column} », avec "
        "intervalle à 95 %.",
        "groups.grid": "Part étiquetée comme chargée",
        "groups.differences": "Différences entre utilisateurs",
        "groups.against": "{outcome} : {group} comparé à {reference}",
        "outcome.any_rate": "Conversations avec un tour chargé",
        "outcome.turn_rate": "Tours chargés",
        "outcome.messages": "Messages",
        "users.title": "Chez qui ?",
        "users.text": "Si tous les utilisateurs avaient autant de tours chargés, la courbe serait "
        "la ligne pointillée. Plus elle est en dessous, moins il faut d’utilisateurs pour en faire"
        " la plupart.",
        "users.finding": "Les {top} d’utilisateurs qui ont le plus de tours chargés en font {share}"
        " ({interval}).",
        "users.lorenz": "Les utilisateurs, de ceux qui ont le moins de tours chargés à ceux qui en "
        "ont le plus, et la part de tous les tours chargés qu’ils ont ensemble (courbe de Lorenz).",
        "users.grid": "Concentration des tours chargés",
        "users.top": "Part des premiers {share} d’utilisateurs",
        "users.gini": "Coefficient de Gini (0 égal, 1 tout chez un seul)",
        "users.note": "Les erreurs du programme touchent tous les utilisateurs de même ; l’usage "
        "affectif est donc plus concentré qu’il ne paraît ici.",
        "deciles.title": "Gros usage",
        "deciles.text": "Les utilisateurs sont rangés par nombre de messages et coupés en dix "
        "groupes de même taille.",
        "deciles.finding": "Dans le dixième qui s’en sert le plus, {high} des {units} ont une "
        "étiquette de charge ({high_interval}) ; dans celui qui s’en sert le moins, {low} "
        "({low_interval}).",
        "deciles.caption": "Part des {units} avec étiquette de charge, du dixième d’utilisateurs "
        "qui s’en sert le moins (1) à celui qui s’en sert le plus (10), avec intervalle à 95 %.",
        "deciles.grid": "Les chiffres du graphique",
        "trend.title": "Les utilisateurs changent-ils ?",
        "trend.text": "Pour {users} utilisateurs, actifs pendant au moins quatre semaines, une "
        "droite a été ajustée à leur part hebdomadaire de tours chargés. Elle compte comme hausse "
        "ou baisse quand le hasard l’explique mal, avec un taux de fausses découvertes de 5 %.",
        "trend.grid": "Utilisateurs selon la direction",
        "trend.rising": "En hausse",
        "trend.flat": "Sans changement net",
        "trend.falling": "En baisse",
        "trend.note": "La plupart ont trop peu de tours chargés pour distinguer une tendance du "
        "hasard ; « sans changement net » ne prouve pas qu’il n’y en a pas.",
        "associated.title": "Ce qui va avec « {outcome} »",
        "associated.text": "Régression linéaire sur {users} utilisateurs de « {outcome} » sur le "
        "dixième d’usage, le taux de tours chargés et les groupes de ce rapport. Un coefficient "
        "dit de combien « {outcome} » diffère entre utilisateurs qui diffèrent de un à cette ligne"
        " et se ressemblent aux autres ; les intervalles valent aussi pour des dispersions "
        "inégales (HC3).",
        "associated.finding": "Un dixième d’usage de plus va avec une différence de {value} en « "
        "{outcome} » ({interval}), les autres lignes étant égales. C’est une association, pas un "
        "effet.",
        "associated.hidden": "Non montré : ces utilisateurs ne permettent pas de régression. Moins "
        "de {users} ont une valeur dans chaque colonne, un groupe est plus petit, ou une colonne "
        "répète ce que disent les autres.",
        "associated.grid": "Coefficients",
        "term.usage_decile": "Dixième d’usage (1 à 10)",
        "term.turn_rate": "Taux de tours chargés (0 à 1)",
        "within.title": "Au fil des conversations",
        "within.text": "Chaque conversation d’au moins trois messages d’un même rôle est coupée en "
        "trois parts égales. Ce que fait l’assistant se lit à côté de ce que fait l’utilisateur.",
        "within.finding": "Parmi les conversations qui commencent par une tâche, {share} deviennent"
        " personnelles ensuite ({interval}).",
        "within.caption": "Part des messages étiquetés comme chargés (utilisateurs) ou qui montrent"
        " un indice (assistant) au début, au milieu et à la fin des conversations, avec intervalle"
        " à 95 %.",
        "within.grid": "Les chiffres du graphique",
        "within.onset": "Où la charge apparaît, parmi les conversations qui en ont",
        "followed.charged": "Utilisateur : chargé",
        "followed.shows_empathy": "Assistant : montre de l’empathie",
        "followed.claims_affection": "Assistant : prétend à l’affection",
        "part.start": "début",
        "part.middle": "milieu",
        "part.end": "fin",
        "onset.turn 1": "Tour 1",
        "onset.turn 2": "Tour 2",
        "onset.turns 3 to 5": "Tours 3 à 5",
        "onset.turns 6 to 10": "Tours 6 à 10",
        "onset.after turn 10": "Après le tour 10",
        "cues.title": "Quels indices, et lesquels ensemble",
        "cues.text": "Un indice compte comme présent quand le programme lui donne au moins la "
        "probabilité de la dernière colonne du tableau. La fiche du modèle dit jusqu’où s’y fier.",
        "cues.caption": "Combien de fois plus souvent deux indices vont ensemble dans les {units} "
        "que s’ils n’avaient rien à voir : 1 comme attendu, plus de 1 (bleu) plus souvent, moins "
        "(orange) moins souvent. Les cases vides ne sont jamais allées ensemble ou ont trop peu "
        "d’utilisateurs.",
        "cues.alike": "Tous les indices comptent ici à partir de la même probabilité, car on ne "
        "connaît pas de seuils propres au modèle pour ces étiquettes. Là où on les connaît, comme "
        "pour les fichiers Parquet d’affectlib label, les parts des indices sont autres.",
        "cues.grid": "Part des {units} qui montrent chaque indice",
        "cue.shares_feelings": "Partage ses sentiments",
        "cue.seeks_support": "Cherche du soutien",
        "cue.seeks_personal_advice": "Cherche un conseil personnel",
        "cue.seeks_company": "Cherche de la compagnie",
        "cue.expresses_affection": "Exprime de l’affection",
        "cue.expresses_hostility": "Exprime de l’hostilité",
        "cue.humanizes_assistant": "Humanise l’assistant",
        "cue.shows_dependence": "Montre de la dépendance",
        "cue.in_crisis": "En crise",
        "cue.shows_empathy": "Montre de l’empathie",
        "cue.claims_affection": "Prétend à l’affection",
        "role.user": "utilisateur",
        "role.assistant": "assistant",
        "calibration.title": "Peut-on se fier aux probabilités ?",
        "calibration.text": "Là où le programme dit 30 %, environ 30 % des annotations devraient "
        "donner une charge : des points sur la ligne pointillée.",
        "calibration.caption": "Part des annotations avec charge selon la probabilité donnée, avec "
        "intervalle à 95 %.",
        "calibration.grid": "Probabilités et annotations",
        "excerpts.title": "Exemples",
        "excerpts.text": "Les messages dont le programme est le plus sûr. Ce sont les plus chargés,"
        " pas des messages typiques.",
        "excerpts.place": "Conversation {conversation}, probabilité {probability}",
        "data.title": "Les données",
        "data.grid": "Sur quoi les chiffres reposent, et ce qui a été écarté",
        "data.dates": "Dates",
        "data.labelled": "{units} avec étiquette",
        "data.emotional": "dont étiquette de charge",
        "data.users": "utilisateurs",
        "data.failed": "enregistrements illisibles (écartés)",
        "data.unread": "{units} sans texte (écartés)",
        "data.strangers": "{units} sans identifiant d’utilisateur (hors des parties sur eux)",
        "data.undated": "{units} sans date (hors de la partie sur l’évolution)",
        "data.cut": "unités de texte (tokens) en trop, non lues",
        "data.gold": "lignes de la feuille d’annotations",
        "missing.title": "Ce que ce rapport ne peut pas dire",
        "missing.time": "Si l’usage affectif grandit : il n’y a pas de dates, ou sur moins de deux "
        "jours.",
        "missing.within": "Ce qui se passe au fil des conversations : il faut des étiquettes de "
        "messages (affectlib label --level message), de conversations d’au moins trois messages "
        "d’un même rôle.",
        "missing.calibration": "Ce que valent les étiquettes sur ces conversations : il faut un "
        "échantillon annoté à la main (affectlib sample).",
        "missing.people": "Chez qui : il n’y a pas d’identifiants d’utilisateurs.",
        "methods.title": "Comment cela a été mesuré",
        "methods.label": "Un réseau de neurones (transformer) lit chaque message de l’utilisateur "
        "avec un peu de ce qui précède et donne la probabilité d’une charge ; un seuil en fait une"
        " étiquette. Celle d’une conversation vient des scores de ses messages.",
        "methods.corrected": "« Corrigé des erreurs connues » ôte ce sur quoi se trompe un "
        "programme de cette sensibilité et de cette spécificité (Rogan et Gladen 1978 ; intervalle"
        " de Lang et Reiczigel 2014). « Étiquettes et annotations » est l’inférence aidée par "
        "prédictions (Angelopoulos et al. 2023) : la moyenne des étiquettes, corrigée des erreurs "
        "que montrent les annotations.",
        "methods.clusters": "Les messages d’une personne se ressemblent. Les intervalles des parts "
        "sont calculés sur les utilisateurs, pas sur les messages, et ceux de la concentration en "
        "tirant de nouveau les utilisateurs au sort (bootstrap).",
        "methods.hidden": "Les chiffres de moins de {users} utilisateurs ne sont pas montrés, pour "
        "que personne ne soit reconnaissable.",
        "methods.all": "Les chiffres sont montrés même s’ils viennent de peu d’utilisateurs. Pensez"
        " à qui pourrait être reconnu avant de transmettre cette page.",
        "limits.title": "À garder en tête",
        "limits.labels": "Les étiquettes sont celles d’un programme. Il manque des conversations "
        "chargées et en voit où il n’y en a pas ; ce qui n’est pas corrigé plus haut porte ces "
        "erreurs.",
        "limits.who": "Ces conversations ne parlent que pour elles-mêmes. Qui les a partagées, "
        "exportées ou gardées peut différer des autres utilisateurs.",
        "limits.cause": "Rien ici ne montre qu’une chose en cause une autre. La façon de se servir "
        "d’un assistant et la façon d’aller peuvent avoir des causes communes, non mesurées.",
        "limits.person": "Cette page décrit beaucoup de personnes ensemble. Ce n’est pas un "
        "diagnostic, et rien sur quoi juger une personne.",
        "note.association": "Une association, pas une cause : les groupes peuvent différer par bien"
        " des choses non mesurées.",
        "axis.share": "Part des {units} avec charge",
        "axis.labelled": "Étiquette de charge",
        "axis.messages": "Part des messages",
        "axis.of_users": "Utilisateurs, les moins chargés d’abord",
        "axis.of_charge": "Leur part des tours chargés",
        "axis.decile": "Dixième d’utilisateurs selon l’usage",
        "axis.part": "Part de la conversation",
        "axis.probability": "Probabilité donnée",
        "axis.hand": "Charge selon les annotations",
        "head.method": "Méthode",
        "head.share": "Part",
        "head.interval": "Intervalle à 95 %",
        "head.hand": "Annotations",
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
        "head.decile": "Dixième",
        "head.direction": "Direction",
        "head.term": "Ligne",
        "head.coefficient": "Coefficient",
        "head.standardized": "Standardisé",
        "head.cue": "Indice",
        "head.whose": "De qui",
        "head.from": "Dès la probabilité",
        "head.fact": "Quoi",
        "head.number": "Nombre",
    }
)
