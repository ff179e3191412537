"""The texts of the report. Names in braces are filled in by `page`."""

TIME_ALT = "Line chart of dev scores against minutes of training, one line for each system."
TIME_CAPTION = (
    "Each line is the score of a system on the dev set during its training. Higher and further left is better."
)

LENGTH_ALT = (
    "Line chart of {metric} on the test set against the number of words in the source, one line for each system."
)
LENGTH_CAPTION = (
    "Each point is the {metric} of the test sentences with this many words in the source (Bahdanau et al. 2014, "
    "figure 2). A line that falls to the right shows a system that translates long sentences worse."
)

STEP_ALT = "Line chart of milliseconds per training step against sentence length, both on logarithmic scales."
STEP_CAPTION = (
    "On logarithmic scales, a time that grows as a power of the length is a straight line. The dotted lines show the "
    "slopes of n and n²."
)

ATTENTION_ALT = "Attention maps, one for each system, for the source: {source}"
ATTENTION_CAPTION = (
    "Each row is a token that the system wrote, each column a token of the source. The stronger the colour, the higher "
    "the attention weight. The weights of a row sum to 1."
)

SCORES_LEGEND = (
    "Below each score is its 95% interval. The best score is shaded. ▼: significantly lower than the best, p &lt; "
    "{level} (paired bootstrap; for exact match McNemar's test). ≈: no significant difference from the best."
)

COMPLEXITY_NOTES = (
    "n is the length of a sequence, d the width of a layer, k the width of a kernel.",
    "Work, sequential operations and the longest path between any two positions are those of the kind of layer in "
    "table 1 of Vaswani et al. 2017. Paths of convolutions go through their stack of layers (section 4 there). The "
    "path from source to target is that of the whole system, where attention is a shortcut.",
    "These costs are for training, where the whole target is known. In translation, every system writes one token "
    "after another.",
    "The growth is fitted to the measured times at the longer lengths. On a few cores it follows the work. Only where "
    "many positions are computed in parallel do sequential operations determine the time.",
    "The row of modern is for self-attention; with an SSRU decoder, the target side is recurrent.",
)

BUDGET_FINISHED = "These runs were finished before; each was trained with its own recipe."
BUDGET = "Each system was trained for {budget} on the machine above, on the same sentence pairs."

METHOD = (
    "{budget} Training speed is the median of the training log, in target tokens without padding.",
    "BLEU and chrF are computed by sacreBLEU on the {pairs:,} pairs of the test set. The beam size is {beam_size}. "
    "sacreBLEU's signatures: <ul>{signatures}</ul>",
    "The 95% intervals come from {resamples:,} bootstrap resamples of the test set, which all systems share. p is "
    "two-sided, from the paired bootstrap against the system with the best score in the same metric (Koehn 2004): the "
    "share of resamples whose difference deviates from the mean at least as much as the observed one from 0.",
    "Exact match is the share of translations that equal their reference character by character. Its interval is "
    "Wilson's, its p that of McNemar's exact test.",
    "The length of a source is its number of words. Both bounds of a length interval are inclusive.",
    "The time of a step is the median time of the loss and its gradient, without the optimizer, on {sentences} "
    "sentences with this many tokens on both sides. Tokens are those of each system's own vocabulary.",
    "The growth of a step's time is the p of time ∝ n<sup>p</sup>, fitted by least squares to the logarithms, at "
    "lengths from a quarter of the longest.",
    "<code>report.json</code> has the same numbers. The figures are also in the report's folder, as PNG.",
)
