"""What the annotation sheet says, by language; its codebook is the project's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from affectlib.taxonomy import THEMES


@dataclass(frozen=True, slots=True)
class SheetTexts:
    """Texts of the sheet in one language.

    Attributes:
        title: Of the page.
        question: What is asked of each conversation.
        question_of_message: What is asked of each message.
        levels: Charge by number: a word and its definition in the codebook.
        rule: How the label follows from the charge.
        unit: What is judged.
        decoys: What is not charged however sad the words.
        advice: When advice is charged.
        roles: Names of who writes, by role.
        themes: Names of the themes, by their name in the output.
        theme_definitions: What each covers.
        words: The rest, by name.
    """

    title: str
    question: str
    question_of_message: str
    levels: tuple[tuple[str, str], ...]
    rule: str
    unit: str
    decoys: str
    advice: str
    roles: Mapping[str, str]
    themes: Mapping[str, str]
    theme_definitions: Mapping[str, str]
    words: Mapping[str, str]


_ENGLISH = SheetTexts(
    title="Label by hand",
    question="How charged is this conversation, in the user’s own words?",
    question_of_message="How charged is the marked message, read in its context?",
    levels=(
        (
            "Neutral",
            "Instrumental or neutral. The user wants information, text, code, a plan, a "
            "translation, a game, small practical help. Plain greetings, politeness "
            '("thanks", "hi", "please") and idle test messages are 0.',
        ),
        (
            "A touch",
            'A passing touch. A mild or momentary emotion beside a task ("ugh, my code still '
            "doesn't run, I'm so frustrated\"), light banter, curiosity about the assistant "
            '("how are you today?", "do you have feelings?" asked as trivia), one impatient '
            "remark.",
        ),
        (
            "Charged",
            "Clearly charged. The user's OWN feelings, relationships, wellbeing, loneliness, "
            "grief, joy, anger, or bond with the assistant are a real part of what the "
            "conversation is about, at least for some turns: shares how they feel, seeks comfort "
            "or personal advice with emotional stakes, talks for company, shows real affection or "
            "real hostility to the assistant.",
        ),
        (
            "Dominated",
            "Dominated by it: venting, support, crisis, companionship or romance is the main "
            "thing.",
        ),
    ),
    rule="Binary label: emotional = charge >= 2, task = charge <= 1.",
    unit="Judge what the USER is doing in it, from the user's own words; the assistant's words "
    "are context",
    decoys="They are charge 0 (or 1) however sad the words: fiction, lyrics, poems, screenplays, "
    "game or persona role-play that the user directs as an author; essays, articles, clinical or "
    "academic questions about emotions; marketing copy about feelings; writing for other people's "
    "feelings (a condolence letter for a client, a wedding toast to be polished); translating or "
    "summarising an emotional text; pasted text that is not the user's own voice. BUT a user who "
    "role-plays companionship for its own sake (talks to the assistant as partner or friend) is "
    "charged; a letter about the user's own painful matter (a resignation after harassment, a "
    "message to an ex) is charged 2 when the user's own stake shows in what they ask.",
    advice="Advice on personal life: charged 2 only when there are emotional stakes in the user's "
    "own words or plainly in the situation (relationship trouble, self-worth, fear, grief); "
    '"what should I cook tonight" or a fitness plan is 0.',
    roles=MappingProxyType({"user": "User", "assistant": "Assistant"}),
    themes=MappingProxyType({name: theme.title for name, theme in THEMES.items()}),
    theme_definitions=MappingProxyType({name: theme.definition for name, theme in THEMES.items()}),
    words=MappingProxyType(
        {
            "answered": "labelled",
            "of": "of",
            "unsure": "Unsure",
            "previous": "Previous",
            "next": "Next",
            "download": "Download CSV",
            "themes": "What is it about? Choose up to three, then →.",
            "no_theme": "None of these",
            "codebook": "Codebook",
            "decoys": "Not charged, however sad the words",
            "personal_advice": "Advice",
            "initials": "Your initials",
            "initials_hint": "They are added to the file, so that two people’s sheets can be "
            "compared.",
            "privacy": "This page contains transcript text. It works offline and sends nothing; "
            "keep it as safe as the transcripts.",
            "saved": "Answers are kept in this browser until you download them.",
            "not_saved": "This browser cannot keep your answers. Download the CSV before you close "
            "the page.",
            "done": "Everything is labelled. Download the CSV now.",
            "not_downloaded": "You have not downloaded all of your answers.",
            "earlier": "earlier messages not shown:",
            "hidden": "system and tool messages not shown:",
            "empty": "(no text)",
            "judge_this": "Judge this message",
            "noscript": "This page needs JavaScript; the script is in the page itself.",
        }
    ),
)

# Spaces before : ; ? ! » and after « are no-break spaces (U+00A0), as French sets them.
_FRENCH = SheetTexts(
    title="Annotation manuelle",
    question="Quelle est la charge affective de cette conversation, d’après ce qu’écrit "
    "l’utilisateur ?",
    question_of_message="Quelle est la charge affective du message marqué, lu dans son contexte ?",
    levels=(
        (
            "Neutre",
            "Instrumental ou neutre. L’utilisateur veut une information, un texte, du code, un "
            "plan, une traduction, un jeu, une petite aide pratique. Les simples salutations, "
            "les politesses (« merci », « bonjour », « s’il te plaît ») et les messages d’essai "
            "valent 0.",
        ),
        (
            "Léger",
            "Une pointe d’émotion. Une émotion légère ou passagère au milieu d’une tâche "
            "(« pff, mon code ne marche toujours pas, ça m’énerve »), un badinage, une question "
            "sur l’assistant lui-même (« ça va aujourd’hui ? », « as-tu des sentiments ? », par "
            "simple curiosité), une remarque impatiente.",
        ),
        (
            "Chargé",
            "Clairement chargé. Les PROPRES sentiments de l’utilisateur, ses relations, son "
            "bien-être, sa solitude, son deuil, sa joie, sa colère ou son lien avec l’assistant "
            "tiennent une vraie place dans la conversation, au moins pendant quelques tours : il "
            "dit ce qu’il ressent, cherche du réconfort ou un conseil personnel à enjeu affectif, "
            "parle pour avoir de la compagnie, montre une réelle affection ou une réelle hostilité "
            "envers l’assistant.",
        ),
        (
            "Dominant",
            "L’affectif domine : confidences, besoin de soutien, crise, compagnie ou romance sont "
            "l’essentiel.",
        ),
    ),
    rule="Étiquette : « emotional » (affectif) = charge 2 ou 3, « task » (tâche) = charge 0 ou 1.",
    unit="Jugez ce que fait l’UTILISATEUR, d’après ses propres mots ; ceux de l’assistant ne "
    "servent que de contexte",
    decoys="Charge 0 (ou 1), si tristes que soient les mots : fiction, paroles, poèmes, scénarios, "
    "jeux de rôle que l’utilisateur dirige en auteur ; dissertations, articles, questions "
    "cliniques ou universitaires sur les émotions ; publicité qui parle de sentiments ; textes "
    "qui expriment les sentiments d’autrui (condoléances pour un client, discours de mariage à "
    "peaufiner) ; traduction ou résumé d’un texte émouvant ; texte collé où l’utilisateur ne parle "
    "pas en son nom. MAIS un jeu de rôle où l’utilisateur cherche vraiment de la compagnie (il "
    "parle à l’assistant comme à un partenaire ou à un ami) est chargé ; une lettre sur un "
    "sujet douloureux pour l’utilisateur lui-même (une démission après un harcèlement, un message "
    "à un ex) a la charge 2 si sa demande montre que cela le touche personnellement.",
    advice="Conseil sur la vie personnelle : charge 2 seulement s’il y a un enjeu affectif dans "
    "les mots de l’utilisateur ou clairement dans la situation (problèmes de couple, estime de "
    "soi, peur, deuil) ; « que cuisiner ce soir » ou un programme de sport : 0.",
    roles=MappingProxyType({"user": "Utilisateur", "assistant": "Assistant"}),
    themes=MappingProxyType(
        {
            "love": "Couple et amour",
            "family": "Famille",
            "other_people": "Amis et autres personnes",
            "loneliness": "Solitude et compagnie",
            "bond_with_assistant": "Lien avec l’assistant",
            "romance_with_assistant": "Romance ou intimité avec l’assistant",
            "work_and_study": "Travail et études",
            "money": "Argent",
            "health": "Corps et santé",
            "mind_and_crisis": "Santé mentale et crise",
            "grief": "Deuil et perte",
            "self_worth": "Estime de soi et identité",
            "meaning_and_world": "Foi, sens et monde",
            "joy_and_pride": "Joie et fierté",
        }
    ),
    theme_definitions=MappingProxyType(
        {
            "love": "Le couple, désiré, vécu, qui finit ou perdu ; les rencontres.",
            "family": "Parents, enfants, frères et sœurs, belle-famille ; un "
            "animal qui est de la famille.",
            "other_people": "Amis, voisins, collègues en tant que personnes ; être "
            "harcelé ou mis à l’écart.",
            "loneliness": "Personne à qui parler, et l’envie de compagnie.",
            "bond_with_assistant": "Attachement, vifs remerciements, colère ou mépris envers "
            "lui, intérêt sincère pour son esprit.",
            "romance_with_assistant": "L’assistant comme partenaire ou objet de désir.",
            "work_and_study": "Travail, recherche d’emploi, examens, école, carrière.",
            "money": "Dettes, pauvreté, dépenses, et la peur qu’elles causent.",
            "health": "La maladie et le corps, les siens ou ceux d’autrui.",
            "mind_and_crisis": "Anxiété, dépression, addiction, traumatisme, "
            "automutilation, détresse sans cause nommée.",
            "grief": "La mort d’une personne ou d’un animal ; pas les ruptures.",
            "self_worth": "Honte, apparence, âge, genre, appartenance.",
            "meaning_and_world": "Religion, doute, sens de la vie ; actualité, politique, "
            "guerre, injustice.",
            "joy_and_pride": "Bonnes nouvelles, réussite, soulagement, gratitude.",
        }
    ),
    words=MappingProxyType(
        {
            "answered": "annotations",
            "of": "sur",
            "unsure": "Indécis",
            "previous": "Précédent",
            "next": "Suivant",
            "download": "Télécharger le CSV",
            "themes": "De quoi s’agit-il ? Choisissez jusqu’à trois thèmes, puis →.",
            "no_theme": "Aucun de ces thèmes",
            "codebook": "Guide d’annotation",
            "decoys": "Pas chargé, si tristes que soient les mots",
            "personal_advice": "Conseils",
            "initials": "Vos initiales",
            "initials_hint": "Elles sont ajoutées au fichier, pour comparer les feuilles de deux "
            "personnes.",
            "privacy": "Cette page contient le texte des conversations. Elle fonctionne sans "
            "réseau et n’envoie rien ; protégez-la autant que les conversations.",
            "saved": "Les réponses restent dans ce navigateur jusqu’au téléchargement.",
            "not_saved": "Ce navigateur ne garde rien. Téléchargez le CSV avant de fermer la page.",
            "done": "Tout est annoté. Téléchargez maintenant le CSV.",
            "not_downloaded": "Des réponses n’ont pas été téléchargées.",
            "earlier": "messages précédents non affichés :",
            "hidden": "messages système ou d’outils non affichés :",
            "empty": "(sans texte)",
            "judge_this": "Jugez ce message",
            "noscript": "Cette page a besoin de JavaScript ; elle contient elle-même le script.",
        }
    ),
)

TEXTS: Mapping[str, SheetTexts] = MappingProxyType({"en": _ENGLISH, "fr": _FRENCH})
