"""Do explanations of words find the charged phrase? Measured on 200 messages in which it is marked.

python -m tools.marked_phrases      prints the rate

Each message is a request for something, with one charged phrase in it, before it or after it. No
message was in any training set. A message counts as found where the group of words with the largest
share lies in the phrase with more than half of its characters.
"""

from __future__ import annotations

from dataclasses import dataclass

from affectlib.classifier import AffectClassifier

ENGLISH = (
    "I have been crying all night",
    "my mum died on Sunday and I miss her so much",
    "I feel completely alone",
    "nobody would notice if I was gone",
    "I can't stop shaking",
    "he said he never loved me",
    "I hate myself for it",
    "I am so scared of what comes next",
    "my heart is broken",
    "I feel worthless",
    "they laughed at me in front of everyone",
    "I don't want to be here any more",
    "I'm terrified that she will leave me",
    "I lost the baby and I can't talk to anyone",
    "I am so ashamed I could die",
    "you are the only one who understands me",
    "I miss my brother every single day",
    "I am falling apart",
    "I cried in the office toilet again",
    "I feel like a failure as a father",
    "I am so proud of her that I am in tears",
    "my best friend stopped talking to me and it hurts",
    "I'm so lonely since the divorce",
    "I had another panic attack",
    "I am sick of being the one nobody loves",
    "I feel empty inside",
    "everything hurts since he left me",
    "I am furious with my father",
    "I can't bear the silence in this flat",
    "I wake up afraid every morning",
    "I feel so guilty about leaving her there",
    "I love you, you are my only friend",
    "I'm heartbroken and I can't eat",
    "my dog died in my arms",
    "I feel humiliated",
    "I am drowning in grief",
    "I'm so anxious I can't breathe",
    "I don't know how to live without him",
    "I have nobody to talk to",
    "I feel hopeless",
)
FRENCH = (
    "je pleure toutes les nuits",
    "je me sens terriblement seule",
    "ma mère est morte dimanche et elle me manque tellement",
    "j'ai le cœur brisé",
    "je n'en peux plus, j'ai envie de disparaître",
    "j'ai tellement honte de moi",
    "j'ai peur qu'il me quitte",
    "je me déteste",
    "personne ne m'aime",
    "je suis mort d'angoisse",
)
IN_ENGLISH = (
    "can you draft an email to my landlord about the deposit? {}, so please keep it short",
    "{}. What is the deadline for the tax return, and which form do I need?",
    "write a python function that merges two csv files, {}, and add a docstring",
    "I need the train times to Leeds for tomorrow, and {}",
    "please list five vegetarian dinners for this week. {}. No mushrooms",
    "how do I convert a pdf to word on a mac? {}",
    "{}, and I still have to finish the slides for Monday: give me an outline with six points",
    "what is the phone number format for Spain? {} but I have to call the bank there",
    "translate this invoice into German. Sorry for typos, {}",
    "{} and the report is due at nine, so summarise the attached table in three sentences",
    "the spreadsheet has 400 rows, column B is the date, {}, how do I filter by month?",
    "compare these two phone plans for me: 20 GB for 12 euros or 50 GB for 19 euros. {}",
    "I was told to renew the passport online. {}. Which photo size do they accept?",
    "fix the grammar in this paragraph, then make it formal. By the way {}",
    "{}. Anyway, which screws do I need for a shelf of 30 kg on a plaster wall?",
    "give me a packing list for three days in Oslo in March, {}, carry-on only",
    "where can I buy printer ink for a Canon MG3650 at this hour? {}",
    "the form asks for the national insurance number. {}. Where do I find it on the payslip?",
    "make a table of the four countries with capital and population. {} so I cannot concentrate",
    "is it 12 or 14 days that I can return shoes bought online? {}",
)
IN_FRENCH = (
    "peux-tu rédiger un mail pour mon propriétaire au sujet de la caution ? {}, alors fais court",
    "{}. Quel formulaire faut-il pour déclarer un changement d'adresse ?",
    "il me faut les horaires de train pour Lyon demain matin, et {}",
    "corrige l'orthographe de ce paragraphe. Désolé pour les fautes, {}",
    "fais un tableau des quatre régions avec leur chef-lieu, {}, en ordre alphabétique",
)


@dataclass(frozen=True, slots=True)
class Marked:
    """A message, and the characters from `start` to `stop` (excluded) that are a charged phrase."""

    text: str
    start: int
    stop: int

    @classmethod
    def of(cls, frame: str, phrase: str) -> Marked:
        start = frame.index("{}")
        # A sentence begins with a capital letter, as people write it more or less.
        if start and frame[:start].rstrip().endswith((".", "?")):
            phrase = phrase[0].upper() + phrase[1:]
        return cls(frame.replace("{}", phrase), start, start + len(phrase))

    def holds(self, start: int, stop: int) -> bool:
        """Whether a span of the text lies in the phrase with more than half of its length."""
        return max(0, min(stop, self.stop) - max(start, self.start)) > (stop - start) / 2


def marked_messages() -> list[Marked]:
    """Return the 200 messages: every phrase in four frames."""
    messages = []
    for phrases, frames in ((ENGLISH, IN_ENGLISH), (FRENCH, IN_FRENCH)):
        for place, phrase in enumerate(phrases):
            for step in range(4):
                frame = frames[(place + step * (len(frames) // 4)) % len(frames)]
                messages.append(Marked.of(frame, phrase))
    return messages


def found(classifier: AffectClassifier, messages: list[Marked]) -> list[bool]:
    """Return for each message whether its phrase has the largest share."""
    result = []
    for message in messages:
        words = classifier.explain_words(message.text).words
        largest = max(words, key=lambda word: word.share)
        result.append(message.holds(largest.start, largest.stop))
    return result


def main() -> None:
    from statsmodels.stats.proportion import proportion_confint

    hits = found(AffectClassifier.from_pretrained(device="cpu"), marked_messages())
    low, high = proportion_confint(sum(hits), len(hits), method="wilson")
    print(f"the marked phrase has the largest share in {sum(hits)} of {len(hits)} messages")
    print(f"{sum(hits) / len(hits):.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
