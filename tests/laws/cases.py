"""A tiny model of every architecture and variant, with noise and seed for which it passes `liveliness`."""

from __future__ import annotations

from regard.testing import Case

LUONG = {"num_layers": 2, "hidden_size": 12, "embedding_size": 10, "attention": "global"}
CONVS2S = {"embedding_size": 12, "encoder_convolutions": ((10, 3), (14, 1)), "decoder_convolutions": ((10, 3), (14, 2))}
MODERN = {"hidden_size": 16, "ffn_size": 24, "num_heads": 2, "encoder_layers": 2, "decoder_layers": 2}
TRANSFORMER = {"hidden_size": 16, "ffn_size": 32, "num_heads": 2, "encoder_layers": 2, "decoder_layers": 2}

# Keys are `architecture` or `architecture/variant`.
CASES: dict[str, Case] = {
    "bahdanau2014": Case(
        "bahdanau2014", {"hidden_size": 12, "embedding_size": 10, "attention_size": 8, "maxout_size": 7}
    ),
    "bahdanau2014/copying": Case(
        "bahdanau2014",
        {"hidden_size": 12, "embedding_size": 10, "attention_size": 8, "maxout_size": 7, "copy_attention": True},
        seed=1,
    ),
    "bytenet2016": Case("bytenet2016", {"hidden_size": 8, "encoder_layers": 3, "decoder_layers": 3}, noise=0.5),
    "bytenet2016/padded": Case(
        "bytenet2016",
        {"hidden_size": 8, "encoder_layers": 3, "decoder_layers": 3, "pad_to_multiple": 3},
        noise=0.5,
        seed=1,
    ),
    "cho2014": Case("cho2014", {"hidden_size": 12, "embedding_size": 10, "maxout_size": 7}, seed=9),
    "convs2s2017": Case("convs2s2017", {**CONVS2S, "max_positions": 4}),
    "convs2s2017/even": Case(
        "convs2s2017", {**CONVS2S, "encoder_convolutions": ((10, 4), (14, 2)), "max_positions": 4}, seed=2
    ),
    "convs2s2017/fairseq": Case("convs2s2017", {**CONVS2S, "max_positions": 4, "equations": "fairseq"}, seed=2),
    "convs2s2017/first_layer": Case("convs2s2017", {**CONVS2S, "max_positions": 4, "attention_layers": (1,)}, seed=1),
    "gnmt2016": Case(
        "gnmt2016",
        {"encoder_layers": 3, "decoder_layers": 3, "hidden_size": 12, "embedding_size": 10, "attention_size": 8},
        noise=4.0,
    ),
    "gnmt2016/copying": Case(
        "gnmt2016",
        {
            "encoder_layers": 2,
            "decoder_layers": 2,
            "hidden_size": 12,
            "embedding_size": 10,
            "attention_size": 8,
            "copy_attention": True,
        },
        noise=4.0,
    ),
    "luong2015": Case("luong2015", {**LUONG, "score": "dot"}, noise=4.0),
    "luong2015/concat": Case("luong2015", {**LUONG, "score": "concat"}, noise=4.0, seed=16),
    "luong2015/copying": Case("luong2015", {**LUONG, "score": "dot", "copy_attention": True}, noise=4.0),
    "luong2015/copying_local": Case(
        "luong2015",
        {**LUONG, "attention": "local_p", "window_size": 2, "input_feeding": False, "copy_attention": True},
        noise=4.0,
    ),
    "luong2015/general": Case("luong2015", {**LUONG, "score": "general", "input_feeding": False}, noise=4.0),
    "luong2015/local_m": Case(
        "luong2015", {**LUONG, "attention": "local_m", "window_size": 1, "input_feeding": False}, noise=4.0
    ),
    "luong2015/local_p": Case("luong2015", {**LUONG, "attention": "local_p", "window_size": 2}, noise=4.0, seed=16),
    "luong2015/scaled_dot": Case(
        "luong2015", {**LUONG, "score": "scaled_dot", "input_feeding": False, "reverse_source": False}, noise=4.0
    ),
    "modern": Case("modern", MODERN, noise=1.5, seed=4),
    "modern/copying": Case("modern", {**MODERN, "copy_attention": True}, noise=1.5, seed=4),
    "modern/copying_ssru": Case(
        "modern",
        {**MODERN, "num_heads": 4, "num_kv_heads": 2, "decoder": "ssru", "copy_attention": True},
        noise=1.5,
        seed=4,
    ),
    "modern/grouped": Case("modern", {**MODERN, "num_heads": 4, "num_kv_heads": 2}, noise=1.5, seed=27),
    "modern/ssru": Case("modern", {**MODERN, "decoder": "ssru"}, noise=1.5, seed=32),
    "sutskever2014": Case("sutskever2014", {"num_layers": 2, "hidden_size": 12, "embedding_size": 10}, noise=5.0),
    "transformer2017": Case("transformer2017", TRANSFORMER, noise=0.5),
    "transformer2017/copying": Case("transformer2017", {**TRANSFORMER, "copy_attention": True}, noise=0.5),
    "transformer2017/marian": Case(
        "transformer2017", {**TRANSFORMER, "activation": "silu", "output_bias": True}, noise=0.5, seed=16
    ),
}

GATED = {"hidden_size": 33, "embedding_size": 21, "maxout_size": 17}
GNMT = {"encoder_layers": 4, "decoder_layers": 4, "hidden_size": 33, "embedding_size": 21, "attention_size": 19}
LONG_LUONG = {"num_layers": 3, "hidden_size": 33, "embedding_size": 21}
LONG_CONVS2S = {
    "embedding_size": 22,
    "encoder_convolutions": ((20, 3), (17, 5), (17, 1)),
    "decoder_convolutions": ((20, 3), (13, 2)),
    "max_positions": 30,
}
LONG_TRANSFORMER = {"hidden_size": 32, "ffn_size": 48, "num_heads": 2, "encoder_layers": 2, "decoder_layers": 2}
MARIAN = {**LONG_TRANSFORMER, "activation": "silu", "output_bias": True}
LONG_MODERN = {**LONG_TRANSFORMER, "ffn_size": 48}

# Keys are `architecture` or `architecture/variant`. The noise is small, so that rounding errors do not grow.
LONG_CASES: dict[str, Case] = {
    "bahdanau2014": Case("bahdanau2014", {**GATED, "attention_size": 19}),
    "bahdanau2014/copying": Case("bahdanau2014", {**GATED, "attention_size": 19, "copy_attention": True}),
    "bytenet2016": Case(
        "bytenet2016", {"hidden_size": 13, "encoder_layers": 6, "decoder_layers": 6, "unfold_factor": 1.1}, noise=0.5
    ),
    "bytenet2016/padded": Case(
        "bytenet2016", {"hidden_size": 13, "encoder_layers": 6, "decoder_layers": 6, "pad_to_multiple": 10}, noise=0.5
    ),
    "cho2014": Case("cho2014", GATED),
    "convs2s2017": Case("convs2s2017", LONG_CONVS2S, noise=0.3, embedding_noise=0.1),
    "convs2s2017/fairseq": Case(
        "convs2s2017",
        {**LONG_CONVS2S, "equations": "fairseq", "attention_layers": (2,)},
        noise=0.3,
        embedding_noise=0.1,
    ),
    "gnmt2016": Case("gnmt2016", GNMT, noise=1.5),
    "gnmt2016/copying": Case("gnmt2016", {**GNMT, "copy_attention": True}, noise=1.5),
    "luong2015": Case("luong2015", {**LONG_LUONG, "score": "dot", "attention": "global"}, noise=1.5),
    "luong2015/concat": Case("luong2015", {**LONG_LUONG, "score": "concat", "attention": "global"}, noise=1.5),
    "luong2015/copying": Case(
        "luong2015", {**LONG_LUONG, "score": "dot", "attention": "global", "copy_attention": True}, noise=1.5
    ),
    "luong2015/local_m": Case(
        "luong2015", {**LONG_LUONG, "attention": "local_m", "window_size": 5, "input_feeding": False}, noise=1.5
    ),
    "luong2015/local_p": Case("luong2015", {**LONG_LUONG, "attention": "local_p", "window_size": 5}, noise=1.5),
    "modern": Case("modern", LONG_MODERN, noise=1.5),
    "modern/copying": Case("modern", {**LONG_MODERN, "copy_attention": True}, noise=1.5),
    "modern/grouped": Case("modern", {**LONG_MODERN, "hidden_size": 96, "num_heads": 6, "num_kv_heads": 2}, noise=1.5),
    "modern/odd": Case("modern", {**LONG_MODERN, "hidden_size": 36, "ffn_size": 45}, noise=1.5),
    "modern/ssru": Case("modern", {**LONG_MODERN, "decoder": "ssru"}, noise=1.5),
    "sutskever2014": Case("sutskever2014", {"num_layers": 3, "hidden_size": 33, "embedding_size": 21}, noise=1.5),
    "transformer2017": Case("transformer2017", LONG_TRANSFORMER, noise=0.5, embedding_noise=0.2),
    "transformer2017/copying": Case(
        "transformer2017", {**LONG_TRANSFORMER, "copy_attention": True}, noise=0.5, embedding_noise=0.2
    ),
    "transformer2017/marian": Case("transformer2017", MARIAN, noise=0.5, seed=17, embedding_noise=0.2),
    "transformer2017/odd": Case(
        "transformer2017", {**LONG_TRANSFORMER, "hidden_size": 34, "ffn_size": 45}, noise=0.5, embedding_noise=0.2
    ),
    "transformer2017/wide": Case(
        "transformer2017", {**LONG_TRANSFORMER, "hidden_size": 96, "num_heads": 3}, noise=0.5, embedding_noise=0.2
    ),
}
