"""The report in English."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "title": "Emotionally charged use of an AI assistant",
        "made": "Made on {date} with affectlib {version}",
        "made_with": "labels by {model}",
        "to": "{low} to {high}",
        "point": "{value} point",
        "points": "{value} points",
        "hidden": "not shown",
        "quoted": "“{text}”",
        "unknown": "not known",
        "fewer": "fewer than {users}",
        "control": "held constant",
        "contents": "Contents",
        "units.conversation": "conversations",
        "units.message": "messages of users",
        "own.conversation": "conversations",
        "own.message": "messages",
        "question.title": "The question",
        "question.text": "How much of the use behind these transcripts is emotionally charged, "
        "whose is it, and is it growing? A conversation or message is charged when the user’s own "
        "feelings, relationships, wellbeing or bond with the assistant are a real part of it. "
        "Fiction, translations and essays about feelings are tasks, however sad their words.",
        "question.labels": "A program read the transcripts and gave each one a label.",
        "question.hand": "No person did this, except where this page mentions hand labels.",
        "question.model": "No person did this. Where this page mentions language-model answers, "
        "these are from {models}.",
        "question.mixed": "No person did this, except for some of what this page calls sheet "
        "answers; the others are from {models}.",
        "answers.hand": "hand labels",
        "answers.model": "language-model answers",
        "answers.mixed": "sheet answers",
        "who.model": "the model {model}",
        "who.prompt": "the model {model} with prompt {prompt}",
        "and": " and ",
        "filled.model": "The answers in the sheet are from {models}, not from people. Intervals do "
        "not include the errors of a language model. Compare its answers with a sheet that a "
        "person filled in (affectlib evaluate --agreement).",
        "filled.mixed": "Some answers in the sheet are from {models}, not from people. Intervals "
        "do not include the errors of a language model. Compare its answers with a sheet that a "
        "person filled in (affectlib evaluate --agreement).",
        "short.title": "In short",
        "short.none": "No figure here is corrected for the program’s mistakes, so this summary "
        "gives none.",
        "short.advice": "Label a sample by hand (affectlib sample) to correct them.",
        "card.share": "of {units} are charged",
        "card.interval": "95% interval {interval}",
        "card.labelled": "of {units} are labelled charged",
        "card.count": "a count of labels, no estimate",
        "card.all": "in this report",
        "card.users": "users",
        "card.people": "who had them",
        "overall.title": "How common is it?",
        "overall.text": "The share of everything that users like these would write is not known "
        "exactly, so each estimate has an interval: if the study were repeated many times, about "
        "95 of 100 such intervals would contain the true share.",
        "overall.users": "The intervals allow for users who have many {units}.",
        "overall.no_users": "There are no user ids, so each of the {units} counts separately; if a "
        "user has several, the intervals are too narrow.",
        "overall.corrected": "By itself, the program labelled {naive} of {units} as charged. It "
        "flags more by mistake than it misses (where charged ones are rare, a few mistakes on the "
        "many others add up); corrected for both, the share is {best}.",
        "overall.corrected_up": "By itself, the program labelled {naive} of {units} as charged. It "
        "misses more charged ones than it flags by mistake; corrected for both, the share is "
        "{best}.",
        "overall.corrected_same": "By itself, the program labelled {naive} of {units} as charged. "
        "What it misses and what it flags by mistake balance: corrected for both, the share is "
        "the same.",
        "overall.by_hand": "By itself, the program labelled {naive} of {units} as charged. The "
        "{hand} show that its labels hardly tell charged ones from others here, so the share is "
        "that of the {hand} alone: {best}.",
        "overall.hidden": "Not shown: these {units} are of fewer than {users} users.",
        "overall.few": "This is the share that the program labelled, mistakes included. The "
        "{hand} are of fewer than {users} users, so nothing is corrected by them. For that, "
        "{units} of more users must be labelled.",
        "overall.naive_only": "This is the share that the program labelled, mistakes included. "
        "Where charged ones are rare, it is often too high. Label a sample by hand (affectlib "
        "sample) to correct it.",
        "overall.no_origin": "No column “provenance” says which program made the labels, so its "
        "known mistakes are not taken out. Read the file that affectlib label wrote with "
        "read_labels, or keep this column.",
        "overall.shift": "The program’s mistakes were measured on other transcripts. The interval "
        "allows for yours to be of another kind, so it is wide. A sample labelled by hand makes "
        "it narrower.",
        "overall.little": "The interval, {interval}, is wide compared with the share. Label about "
        "{rows} more rows by hand, drawn with affectlib sample, to know the share to within half "
        "its value.",
        "overall.too_few": "The interval, {interval}, is wide compared with the share. Labelling "
        "more of these {units} by hand would not bring it to within half the share: they are too "
        "few, or of too few users.",
        "overall.caption": "Share of {units} that are charged, by method, with 95% intervals.",
        "overall.caption_labelled": "Share of {units} labelled charged, the program’s errors "
        "included, with its 95% interval.",
        "overall.grid": "Share that is charged, by method",
        "overall.grid_labelled": "Share labelled charged",
        "overall.finding": "About {share} of {units} are emotionally charged (95% interval "
        "{interval}; method: {method}).",
        "overall.finding_labelled": "The program labelled {share} of {units} as emotionally "
        "charged, its mistakes included. Nothing here was labelled by hand: corrected for mistakes "
        "known from other transcripts, the share may lie anywhere in {interval}.",
        "method.naive": "Labels counted",
        "method.gold": "{Hand} only",
        "method.rogan_gladen": "Corrected for known errors",
        "method.ppi": "Labels and {hand} together",
        "time.title": "Is it growing?",
        "time.text": "Each point is one {period}. The first and last may be incomplete. The line "
        "breaks where a {period} has too few users to be shown.",
        "time.text_table": "Each row of the table is one {period}. The first and last may be "
        "incomplete.",
        "time.rose": "From {first} to {last}, the share of {units} that are charged rose by "
        "{change} (95% interval {interval}), according to a straight line through all of them.",
        "time.fell": "From {first} to {last}, the share of {units} that are charged fell (change: "
        "{change}; 95% interval {interval}), according to a straight line through all of them.",
        "time.flat": "From {first} to {last}, there was no clear change in the share of {units} "
        "that are charged: {change} (95% interval {interval}), according to a straight line "
        "through all of them.",
        "time.no_line": "So no change over the whole time is given.",
        "time.caption": "Share of {units} that are charged by {period}; the band is the 95% "
        "interval.",
        "time.caption_labelled": "Share of {units} labelled charged by {period}, the program’s "
        "errors included; the band is the 95% interval.",
        "period.day": "day",
        "period.week": "week",
        "period.month": "month",
        "groups.title": "By “{column}”",
        "groups.text": "For each group of “{column}”: the share of its {units} that are charged.",
        "groups.text_labelled": "For each group of “{column}”: the share of its {units} that are "
        "labelled charged.",
        "groups.compared": "The second table compares the users of each group with those of the "
        "largest one, by means over users: each user counts once, however much they write. A "
        "difference is the mean of the group named first minus that of the other, the share being "
        "that of a user’s own {units}; differences of shares are in percentage points. The effect "
        "is the difference in standard deviations, not corrected for label error (Hedges’ g; 0.2 "
        "is often called small, 0.8 large); q is the p-value adjusted for the number of "
        "comparisons.",
        "groups.uncorrected": "So the differences between users are those of labels. They are not "
        "corrected.",
        "groups.caption": "Share of {units} that are charged by “{column}”, with 95% intervals.",
        "groups.caption_labelled": "Share of {units} labelled charged by “{column}”, with 95% "
        "intervals.",
        "groups.grid": "Share of each group’s {units} that are charged",
        "groups.grid_labelled": "Share of each group’s {units} labelled charged",
        "groups.differences": "Differences between users",
        "groups.against": "{outcome}: {group} against {reference}",
        "outcome.own_share": "Share of a user’s {units} that are charged",
        "outcome.own_share_labelled": "Share of a user’s {units} labelled charged",
        "outcome.messages": "Messages",
        "users.title": "Which users does it come from?",
        "users.text": "If all users had the same number of turns labelled charged, the curve would "
        "be the dashed line. The further it is below, the fewer users account for most of them.",
        "users.lorenz": "Users from the fewest turns labelled charged to the most, and the share "
        "of all such turns that they have together (Lorenz curve).",
        "users.grid": "How concentrated turns labelled charged are",
        "users.top": "Share of these turns that the top {share} of users have",
        "users.gini": "Gini coefficient (0: equal, 1: all with one user)",
        "users.note": "If the program’s mistakes fall on all users alike, which is an assumption, "
        "charged use is more concentrated than it looks here.",
        "deciles.title": "Heavy use",
        "deciles.text": "Users are sorted by how many messages they have and divided into ten "
        "groups of the same size.",
        "deciles.finding": "Of the {units} of the tenth of users who use it most, {high} are "
        "charged (95% interval {high_interval}); of those of the tenth who use it least, {low} "
        "(95% interval {low_interval}).",
        "deciles.caption": "Share of {units} that are charged, from the tenth of users who use it "
        "least (1) to the tenth who use it most (10), with 95% intervals.",
        "deciles.caption_labelled": "Share of {units} labelled charged, from the tenth of users "
        "who use it least (1) to the tenth who use it most (10), with 95% intervals.",
        "trend.title": "Do users change?",
        "trend.text": "For the {users} users who were active in at least four weeks, a line was "
        "fitted through their weekly share of turns labelled charged. It counts as rising or "
        "falling if assigning their conversations to the weeks at random rarely gives such a steep "
        "line, at a false discovery rate of 5%.",
        "trend.grid": "Users by direction",
        "trend.rising": "Rising",
        "trend.flat": "No clear change",
        "trend.falling": "Falling",
        "trend.note": "Most users have too few charged turns to tell a trend from chance; “no "
        "clear change” does not prove that there is none. As long as the program’s mistakes stay "
        "the same over time, they do not make a user rise or fall. They only hide some who do.",
        "associated.title": "What goes with “{outcome}”",
        "associated.text": "Linear regression of “{outcome}” on the tenth of usage, {rate} and the "
        "groups of this report, for {users} users. A coefficient says by how much “{outcome}” "
        "differs between users who differ by one in that row and are alike in the others; "
        "intervals allow for unequal spread (HC3).",
        "associated.rate": "the rate of charged turns",
        "associated.rate_labelled": "the rate of turns labelled charged",
        "associated.finding": "Users whose rate of charged turns is 10 points higher than that of "
        "users who are alike in the other rows of the table differ from them by {value} in "
        "“{outcome}” (95% interval {interval}; a negative number means lower). This is an "
        "association, not an effect.",
        "associated.calibrated": "The rate of charged turns is corrected by regression "
        "calibration, and the intervals allow for the uncertainty about the program’s mistakes. "
        "Assumption: it makes as many with all users.",
        "associated.contradicted": "The {hand} contradict this assumption: by them, the program "
        "errs otherwise in some groups of {columns} than overall.",
        "associated.unreliable": "The rate is that of turns labelled charged. Label error draws "
        "its coefficient towards 0. It is not corrected, because most of the differences between "
        "users are label error.",
        "associated.labelled": "The rate is that of turns labelled charged. Label error draws its "
        "coefficient towards 0.",
        "associated.hidden": "Not shown: these users do not allow a regression. Fewer than {users} "
        "have a value in every column, a group is smaller than that, or one column repeats what "
        "the others say.",
        "associated.grid": "Coefficients",
        "term.usage_decile": "Tenth of usage (1 to 10)",
        "term.charged_rate": "Rate of charged turns (0 to 1)",
        "term.charged_rate_labelled": "Rate of turns labelled charged (0 to 1)",
        "within.title": "Within conversations",
        "within.text": "Every conversation with at least three messages of one role is cut into "
        "three parts of equal length. What the assistant does is shown beside what the user does.",
        "within.labelled": "Cues, and where charge begins, are counted from the program’s labels, "
        "errors included. False alarms add up in long conversations, and a charged turn that the "
        "program misses makes charge seem to begin later.",
        "within.caption": "Share of messages that are charged (users) or labelled with a cue "
        "(assistant) at the start, middle and end of conversations, with 95% intervals.",
        "within.caption_labelled": "Share of messages labelled charged (users) or labelled with a "
        "cue (assistant) at the start, middle and end of conversations, with 95% intervals.",
        "within.later": "Conversations that begin with a task",
        "within.later_row": "A later turn is charged",
        "within.later_note": "How often conversations that begin with a task become charged is "
        "corrected for the program’s errors: those with conversations (method: {whole}) and those "
        "with first turns (method: {first}). Assumptions: a conversation is charged if one of its "
        "turns is, and the program makes as many mistakes with first turns as with later ones.",
        "within.unexplained": "More messages are labelled as charged here than a program with the "
        "known errors would label. So the errors are others here, and nothing is corrected.",
        "within.onset": "Where the program first labels a turn as charged, among conversations "
        "with any",
        "followed.charged": "User: charged",
        "followed.charged_labelled": "User: labelled charged",
        "followed.shows_empathy_labelled": "Assistant: labelled as showing empathy",
        "followed.claims_affection_labelled": "Assistant: labelled as claiming affection",
        "part.start": "start",
        "part.middle": "middle",
        "part.end": "end",
        "onset.turn 1": "Turn 1",
        "onset.turn 2": "Turn 2",
        "onset.turns 3 to 5": "Turns 3 to 5",
        "onset.turns 6 to 10": "Turns 6 to 10",
        "onset.after turn 10": "After turn 10",
        "onset.turned": "Of conversations that begin with a task: a later turn is labelled charged",
        "cues.title": "Which cues, and which together",
        "cues.text": "A cue counts as shown if the program gives it at least the probability in "
        "the last column of the table. The model card says how far each can be trusted.",
        "cues.caption": "How many times more often two cues are shown together in {units} than if "
        "they were independent: 1 as expected, above 1 (green) more often, below (purple) less "
        "often. A cell is empty if the cues were never shown together, or by too few users.",
        "cues.alike": "All cues count from the same probability here, because the model’s own "
        "thresholds are not known for these labels. Where they are, as for Parquet files of "
        "affectlib label, the shares of cues are different.",
        "cues.grid": "Share of {units} labelled with each cue",
        "themes.title": "What is it about?",
        "themes.text": "Of the {units} that the program flags as charged, the share that is about "
        "each theme. One can have several themes, or none. What is flagged by mistake has none.",
        "themes.caption": "Of the {units} that the program flags as charged, the share that is "
        "about each theme, with 95% intervals.",
        "themes.caption_labelled": "Of the {units} that the program flags as charged, the share "
        "labelled with each theme, the program’s errors included, with 95% intervals.",
        "themes.grid": "Themes of the {units} that the program flags as charged",
        "themes.by": "Common themes by “{column}”",
        "themes.over_time": "Common themes by {period}",
        "themes.kinds": "Labelled kinds of use of the {units} that the program flags as charged, "
        "its errors included",
        "themes.kinds_text": "Each of these {units} is also labelled with one kind of use. The "
        "kinds are those of Anthropic’s report of 2025 on affective use of Claude; they follow "
        "from cues and themes by rules, which nothing was trained on.",
        "themes.alike": "All themes count from the same probability here, because the model’s own "
        "thresholds are not known for these labels. Where they are, as for Parquet files of "
        "affectlib label, the shares of themes are different.",
        "themes.shift": "Assumption: the program finds each theme as well in these transcripts as "
        "in those that it was measured on.",
        "themes.contradicted": "In some of these groups or periods, the {hand} contradict that. "
        "The share there is that of the {hand} alone.",
        "themes.finding": "The commonest theme of the {units} that the program flags as charged is "
        "“{theme}”: {share} (95% interval {interval}; method: {method}).",
        "themes.finding_among": "“{theme}” is among the commonest themes of the {units} that the "
        "program flags as charged: {share} (95% interval {interval}; method: {method}).",
        "use_kind.interpersonal_advice": "Interpersonal advice",
        "use_kind.coaching": "Coaching",
        "use_kind.counselling": "Counselling and psychotherapy",
        "use_kind.companionship": "Companionship",
        "use_kind.romantic_roleplay": "Romantic or sexual role-play",
        "use_kind.other": "Other charged use",
        "role.user": "user",
        "role.assistant": "assistant",
        "quality.title": "How good are the labels?",
        "quality.measured": "The first table compares the labels with the {hand}, whose "
        "weights count: its figures are estimates for all {units} here.",
        "quality.all_charged": "All {hand} say charged, so they do not tell how often the program "
        "flags {units} that are not, nor how well it ranks them.",
        "quality.all_task": "All {hand} say task, so they do not tell how many of the charged "
        "{units} the program finds, nor how well it ranks them.",
        "quality.few": "Not shown: the {hand} are of fewer than {users} users.",
        "quality.unranked": "{rows} of the {units} with {hand} have no probability. They are left "
        "out of average precision, AUROC, calibration error and the second table.",
        "quality.measures": "Labels of {units} against {hand}",
        "quality.recall": "Recall: share of the charged ones that the program finds",
        "quality.specificity": "Specificity: share of the others that it does not flag",
        "quality.precision": "Precision: share of what the program flags that is truly charged",
        "quality.average precision": "Average precision: area under the curve of precision and "
        "recall, lower where charged ones are rare",
        "quality.AUROC": "AUROC: how often a charged one has a higher probability than one that is "
        "not charged",
        "quality.calibration error": "Calibration error: average gap between probability and share",
        "calibration.text": "Where the program says 30%, about 30% of the {hand} should be "
        "charged.",
        "calibration.points": "The points should be on the dashed line.",
        "calibration.caption": "Share of {hand} that are charged against the probability "
        "given, with 95% intervals.",
        "calibration.grid": "Probabilities against {hand}",
        "missing.excerpts": "Examples: no text that is labelled charged has a probability, so it "
        "is not known of which the program is most certain.",
        "excerpts.title": "Examples",
        "excerpts.text": "The messages that the program is most certain of. They are the most "
        "charged, not typical ones.",
        "excerpts.place": "Conversation {conversation}, probability {probability}",
        "data.title": "The data",
        "data.grid": "What the figures rest on, and what was left out",
        "data.dates": "Dates",
        "data.from_to": "{first} to {last}",
        "data.labelled": "{units} with a label",
        "data.emotional": "of these labelled charged",
        "data.users": "users",
        "data.failed": "records that could not be read (left out)",
        "data.unread": "{units} without text (left out)",
        "data.strangers": "{units} without a user id (left out of the sections on users)",
        "data.undated": "{units} without a time (left out of the sections on change)",
        "data.cut": "tokens not read, because a message was too long",
        "data.gold": "rows in the sheet of {hand}",
        "missing.title": "What this report cannot say",
        "missing.time": "Whether charged use is growing: there are no times, or they span less "
        "than two days.",
        "missing.themes": "What charged use is about: the labels have no themes (the model that "
        "made them may know none), or nothing is labelled charged.",
        "missing.within": "What happens within conversations: that needs labels of messages "
        "(affectlib label --level message), and chats with at least three messages of one role.",
        "missing.quality": "How good the labels are on these transcripts: that needs a sample "
        "labelled by hand (affectlib sample).",
        "missing.people": "Which users charged use comes from: there are no user ids.",
        "methods.title": "How it was measured",
        "methods.label": "A transformer reads each message of the user and gives a probability "
        "that it is charged; a threshold turns it into a label. A conversation’s label comes from "
        "the scores of its messages.",
        "methods.corrected": "“Corrected for known errors” takes out what a program with that "
        "sensitivity and specificity gets wrong (Rogan and Gladen 1978), with the uncertainty of "
        "both. “Labels and {hand} together” adds what {hand} show of these errors "
        "(prediction-powered inference; Angelopoulos and others 2023), with the known errors as "
        "prior (Gelman and Carpenter 2020) as far as they agree with {hand} (Schmidli and others "
        "2014), so that it holds for few {hand} too. Differences and slopes are divided by "
        "sensitivity + specificity − 1.",
        "methods.labelled": "A figure that cannot be corrected is called “labelled”. It is orange "
        "in tables and plots, where its mark is hollow, and it is not in the summary. Themes are "
        "those of what the program flags as charged, false alarms included.",
        "methods.clusters": "Messages of one person are alike. All intervals of shares are "
        "computed over users, not over messages (jackknife), and those of concentration by "
        "resampling users (bootstrap-t).",
        "methods.hidden": "Figures of fewer than {users} users are not shown, nor any from which "
        "these could be worked out by subtraction, so that no person can be identified.",
        "methods.all": "Figures are shown however few users they come from. Think about who could "
        "be identified before you pass this page on.",
        "limits.title": "What to keep in mind",
        "limits.labels": "The labels come from a program. It misses some charged chats and flags "
        "others by mistake; whatever is not corrected above contains these errors.",
        "limits.who": "These transcripts speak only for themselves. The people who shared, "
        "exported or kept them may differ from other users.",
        "limits.cause": "Nothing here shows that one thing causes another. How people use an "
        "assistant and how they are doing may have common causes that were not measured.",
        "limits.person": "This page describes many people together. It is not a diagnosis, and it "
        "says nothing about any single person.",
        "note.association": "An association, not a cause: groups may differ in many ways that were "
        "not measured.",
        "note.labelled": "These figures count the program’s labels, errors included. They are not "
        "corrected.",
        "note.same_errors": "Assumption: the program finds the same share of what is charged, and "
        "flags the same share of what is not, in each of these groups or periods as overall.",
        "note.contradicted": "The {hand} contradict this assumption for {groups}. There, the share "
        "is that of the {hand} only.",
        "note.useless": "The {hand} show that the program’s labels hardly tell charged ones from "
        "others, so these shares are those of the {hand} only.",
        "note.left_out": "A plot is left out because too few of its values can be shown.",
        "grid.behind": "The numbers behind the plot",
        "grid.numbers": "The numbers",
        "axis.share": "Share that is charged",
        "axis.labelled": "Labelled charged",
        "axis.themes": "Share of these {units}",
        "axis.messages": "Share of messages",
        "axis.of_users": "Users, those with the fewest first",
        "axis.of_charge": "Their share of turns labelled charged",
        "axis.decile": "Tenth of users by usage",
        "axis.part": "Part of the conversation",
        "axis.probability": "Probability given",
        "axis.hand": "Charged by {hand}",
        "head.method": "Method",
        "head.share": "Share",
        "head.interval": "95% interval",
        "head.hand": "{Hand}",
        "head.day": "Day",
        "head.week": "Week from",
        "head.month": "Month",
        "head.conversation": "Conversations",
        "head.message": "Messages",
        "head.users": "Users",
        "head.probability": "Mean probability",
        "head.charged": "Charged",
        "head.comparison": "Comparison",
        "head.difference": "Difference",
        "head.effect": "Effect (g)",
        "head.q": "q",
        "head.measure": "Measure",
        "head.estimate": "Estimate",
        "head.decile": "Tenth",
        "head.direction": "Direction",
        "head.term": "Row",
        "head.coefficient": "Coefficient",
        "head.standardized": "Standardised",
        "head.cue": "Cue",
        "head.theme": "Theme",
        "head.use_kind": "Kind of use",
        "head.whose": "Shown by",
        "head.from": "From probability",
        "head.fact": "What",
        "head.number": "Number",
    }
)
