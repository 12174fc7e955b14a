"""Rows of the study: flags after the recipe, each a question about a reading.

A row's name is that of its result files; flags that a row does not set are the
recipe's. See README.md beside this file for the sets and the rules.
"""

# The recipe's readings before the study, from which each row changes one thing.
_BEFORE = (
    "--residual",
    "--eta=0.1:0.9:0.025",
    "--threshold_on=activation",
    "--samples_per_snippet=1",
    "--nms=hard",
    "--rate_warmup_epochs=0",
)

# Features 256 wide and 40 epochs instead of 2048 and 100; docs/results.md says
# how rate and lambda_smt follow the width.
NARROW = (
    "--flagfile=configs/thumos14.flags",
    *_BEFORE,
    "--learning_rate=0.002",
    "--epochs=40",
    "--num_snippets=400",
    "--lambda_smt=0.14",
    "--ignore_unknown",
    "--watch_every=0",
)
WIDE = (
    "--flagfile=configs/thumos14.flags",
    *_BEFORE,
    "--epochs=60",
    "--num_snippets=400",
    "--ignore_unknown",
    "--watch_every=0",
)

# ActivityNet-1.3's recipe before the study. Its test videos are what synthesize
# calls "test".
ACTIVITYNET = (
    "--flagfile=configs/activitynet13.flags",
    "--residual",
    "--background_warmup_epochs=0",
    "--eta=0.005:0.025:0.005",
    "--score_on=activation",
    "--samples_per_snippet=1",
    "--nms=hard",
    "--subset=test",
    "--learning_rate=0.0008",
    "--epochs=20",
    "--lambda_smt=0.14",
    "--watch_every=0",
)

# For choosing at 2048 wide in a sixth of the time.
WIDE_CHOICE = "--learning_rate=0.00025 --epochs=24 --precision=mixed_bfloat16"

SHARP = "--threshold_on=both --nms=soft --inflation=0.5"

# Localization alone; they share the training of the row they are applied to.
LOCALIZATION = {
    "": "",
    "both": "--threshold_on=both",
    "attention": "--threshold_on=attention",
    "soft": "--nms=soft",
    "inflation": "--inflation=0.5",
    "samples": "--samples_per_snippet=4",
    "sharp": SHARP,
    "fine": "--threshold_on=both --nms=soft --inflation=0.25 "
    "--samples_per_snippet=4",
    # Cuts the activation low and the attention everywhere, as ACM-Net does.
    "low": "--threshold_on=both --eta=0.1,0.2 --eta_attention=0.1:0.9:0.025 "
    "--nms=soft --inflation=0.25 --samples_per_snippet=4",
    # The same, and Eq. 9 integrates the attention.
    "low_attention": "--threshold_on=both --eta=0.1,0.2 "
    "--eta_attention=0.1:0.9:0.025 --nms=soft --inflation=0.25 "
    "--samples_per_snippet=4 --score_on=attention",
    # Eq. 9 as printed, and thresholds between THUMOS-14's and ActivityNet's.
    "dense": "--threshold_on=both --eta=0.005:0.995:0.01 --nms=soft "
    "--inflation=0.2 --samples_per_snippet=4",
    "fine_0.35": "--threshold_on=both --nms=soft --inflation=0.35 "
    "--samples_per_snippet=4",
    # For ActivityNet's recipe: THUMOS-14's thresholds.
    "high_eta": "--eta=0.1:0.9:0.025",
    "high_eta_both": "--eta=0.1:0.9:0.025 --threshold_on=both",
    "high_eta_attention": "--eta=0.1:0.9:0.025 --threshold_on=attention",
    # The same, around its own thresholds.
    "soft_samples": "--nms=soft --samples_per_snippet=4",
    "more_eta": "--eta=0.005:0.1:0.005",
    "more_eta_soft_samples": "--eta=0.005:0.1:0.005 --nms=soft "
    "--samples_per_snippet=4",
    # One change each of soft_samples, most towards ACM-Net's own localization.
    "hard_0.9": "--nms_tiou=0.9 --samples_per_snippet=4",
    "soft_wide": "--nms=soft --nms_sigma=1 --samples_per_snippet=4",
    "soft_20_samples": "--nms=soft --samples_per_snippet=20",
    "soft_inflation_0.1": "--nms=soft --samples_per_snippet=4 --inflation=0.1",
    "soft_inflation_0.35": "--nms=soft --samples_per_snippet=4 "
    "--inflation=0.35",
    "soft_on_attention": "--nms=soft --samples_per_snippet=4 "
    "--score_on=attention",
    "soft_both": "--nms=soft --samples_per_snippet=4 --threshold_on=both",
    "soft_beta_0": "--nms=soft --samples_per_snippet=4 --beta=0",
    "soft_beta_1": "--nms=soft --samples_per_snippet=4 --beta=1",
    "soft_low_eta": "--nms=soft --samples_per_snippet=4 "
    "--eta=0.001,0.002,0.005,0.01,0.015,0.02,0.025",
    # The two of these that were taken, together.
    "low_eta_on_attention": "--nms=soft --samples_per_snippet=4 "
    "--eta=0.001,0.002,0.005,0.01,0.015,0.02,0.025 --score_on=attention",
    "soft_alpha_0.05": "--nms=soft --samples_per_snippet=4 --alpha=0.05",
}

READINGS = {
    "recipe": "",
    "smt_0": "--lambda_smt=0",
    "smt_0.05": "--lambda_smt=0.05",
    "smt_0.2": "--lambda_smt=0.2",
    "smt_0.5": "--lambda_smt=0.5",
    "plain_block": "--noresidual",
    "plain_block_smt_0.2": "--noresidual --lambda_smt=0.2",
    "plain_block_smt_0.28": "--noresidual --lambda_smt=0.28",
    "plain_block_smt_0.5": "--noresidual --lambda_smt=0.5",
    "weighted": "--activation=weighted",
    "multi_hot": "--labels=multi_hot",
    "guide_sum": "--guide_reduction=sum",
    "guide_detached": "--guide_reduction=sum --guide_detach",
    "own_classifier": "--classifier=own",
    "sigmoid": "--attention=sigmoid",
    "uniform": "--centroids=uniform",
    "cold": "--warmup_epochs=0",
    "repeat": "--upsample_short=repeat",
    "ct_0": "--lambda_ct=0",
    "gui_0": "--lambda_gui=0",
    "ct_bg_1": "--lambda_ct=1 --lambda_bg=1",
    "ct_1": "--lambda_ct=1",
    "sigma_8_3_3": "--sigma=8,3,3",
    "dropout_0.7": "--dropout=0.7",
    "embedding_dropout": "--embedding_dropout=0.5",
    "decay": "--weight_decay=0.001",
    "bias_2": "--attention_bias=2",
    "rate_warmup": "--rate_warmup_epochs=5",
    "plain_block_rate_warmup": "--noresidual --rate_warmup_epochs=5",
    "acmnet_style": "--flagfile=configs/acmnet_style.flags",
    # Its lambda_smt is the paper's, 0.14 the same for features 256 wide.
    "as_printed": "--flagfile=configs/thumos14_as_printed.flags "
    "--lambda_smt=0.14",
}

# configs/ablations/table*.flags without those of the recipe itself.
TABLE_ROWS = (
    "3_row1_fg",
    "3_row2_bg",
    "3_row3_ct",
    "3_row4_gui",
    "5_row2_attention",
    "5_row3_mil",
)

# What was chosen first; after it Table 3, cumulative, and Table 5.
CHOSEN = f"--noresidual {LOCALIZATION['dense']}"
# The recipe of configs/thumos14.flags: the same with a rate that rises.
RECIPE = f"{CHOSEN} --rate_warmup_epochs=5"
REPORT = {
    "chosen": CHOSEN,
    "chosen_rate_warmup": RECIPE,
    "chosen_warmup_15": f"{CHOSEN} --warmup_epochs=15",
    "chosen_warmup_30": f"{CHOSEN} --warmup_epochs=30",
    "chosen_rate_warmup_2": f"{CHOSEN} --rate_warmup_epochs=2",
    # The recipe's own epochs, and its rate scaled with the width alone.
    "chosen_100": f"{CHOSEN} --learning_rate=0.0008 --epochs=100",
    "chosen_100_rate_warmup": f"{RECIPE} --learning_rate=0.0008 --epochs=100",
    "chosen_smt_0.2": f"{CHOSEN} --lambda_smt=0.2",
    "chosen_ema": f"{CHOSEN} --ema=0.99",
    "chosen_background_warmup": f"{CHOSEN} --background_warmup_epochs=5",
    "chosen_embedding_dropout": f"{CHOSEN} --embedding_dropout=0.5",
} | {
    f"table{name}": f"{CHOSEN} --flagfile=configs/ablations/table{name}.flags"
    for name in TABLE_ROWS
}

# What prevents a collapse, at three times the rate of the other rows or, in
# chosen_0.0024 and chosen_fast_wide, of the recipe scaled with the width. The
# first five are of the recipe before the study.
COLLAPSE = {
    "fast": "--learning_rate=0.006",
    "fast_rate_warmup": "--learning_rate=0.006 --rate_warmup_epochs=5",
    "fast_bias_2": "--learning_rate=0.006 --attention_bias=2",
    "fast_both": "--learning_rate=0.006 --rate_warmup_epochs=5 "
    "--attention_bias=2",
    "fast_clip": "--learning_rate=0.006 --clip_norm=1",
    "chosen_fast": f"{CHOSEN} --learning_rate=0.006",
    "chosen_0.0024": f"{CHOSEN} --learning_rate=0.0024",
    "chosen_0.0024_rate_warmup": f"{RECIPE} --learning_rate=0.0024",
    "chosen_fast_clip": f"{CHOSEN} --learning_rate=0.006 --clip_norm=1",
    "chosen_fast_rate_warmup": f"{RECIPE} --learning_rate=0.006",
    "chosen_fast_bias_2": f"{CHOSEN} --learning_rate=0.006 --attention_bias=2",
    "chosen_fast_background_warmup": f"{CHOSEN} --learning_rate=0.006 "
    "--background_warmup_epochs=5",
    "chosen_fast_wide": f"{CHOSEN} --learning_rate=0.0003 --epochs=15 "
    "--precision=mixed_bfloat16",
    "chosen_wide_bfloat16": f"{CHOSEN} --precision=mixed_bfloat16",
    "chosen_wide_bfloat16_rate_warmup": f"{RECIPE} --precision=mixed_bfloat16",
    "chosen_fast_wide_rate_warmup": f"{RECIPE} --learning_rate=0.0003 "
    "--epochs=15 --precision=mixed_bfloat16",
    "chosen_fast_wide_background_warmup": f"{CHOSEN} --learning_rate=0.0003 "
    "--epochs=15 --precision=mixed_bfloat16 --background_warmup_epochs=5",
}

# Of the readings, those that may close the gap at 2048 wide.
WIDE_READINGS = {
    "recipe": "",
    "plain_block": "--noresidual",
    "plain_block_smt_0.1": "--noresidual --lambda_smt=0.1",
    "plain_block_smt_0.2": "--noresidual --lambda_smt=0.2",
    "plain_block_dropout_0.7": "--noresidual --dropout=0.7",
    "plain_block_embedding_dropout": "--noresidual --embedding_dropout=0.5",
    "plain_block_decay": "--noresidual --weight_decay=0.001",
    "plain_block_weighted": "--noresidual --activation=weighted",
    "plain_block_guide_sum": "--noresidual --guide_reduction=sum",
    "plain_block_rate_warmup": "--noresidual --rate_warmup_epochs=3",
    "plain_block_bias_2": "--noresidual --attention_bias=2",
    "acmnet_style": "--flagfile=configs/acmnet_style.flags",
}

# That of configs/activitynet13.flags, and its rows of Tables 4 and 6, whose
# flags are those of Tables 3 and 5.
_ACTIVITYNET_TRAINING = "--noresidual --background_warmup_epochs=5"
ACTIVITYNET_CHOSEN = f"{_ACTIVITYNET_TRAINING} {LOCALIZATION['soft_samples']}"
# That of the recipe, found last; the row is chosen+low_eta_on_attention.
ACTIVITYNET_RECIPE = (
    f"{_ACTIVITYNET_TRAINING} {LOCALIZATION['low_eta_on_attention']}"
)

# What eta cuts with 200 classes, where a uniform softmax is 1/201: THUMOS-14's
# thresholds or the recipe's, in a softmax of p (plain) or of a x p (weighted).
_HIGH_ETA = "--eta=0.1:0.9:0.025"
ACTIVITYNET_READINGS = {
    "recipe": "",
    "high_eta": _HIGH_ETA,
    "both": "--threshold_on=both",
    "high_eta_both": f"--threshold_on=both {_HIGH_ETA}",
    "attention": f"--threshold_on=attention {_HIGH_ETA}",
    "weighted": "--activation=weighted",
    "weighted_high_eta": f"--activation=weighted {_HIGH_ETA}",
    "plain_block": "--noresidual",
    "recipe_rate_0.002": "--learning_rate=0.002",
    "dense": LOCALIZATION["dense"],
    "plain_block_high_eta": f"--noresidual {_HIGH_ETA}",
    "plain_block_dense": f"--noresidual {LOCALIZATION['dense']}",
    "plain_block_bias_2": "--noresidual --attention_bias=2",
    "plain_block_rate_warmup": "--noresidual --rate_warmup_epochs=5",
    "plain_block_rate_warmup_dense": "--noresidual --rate_warmup_epochs=5 "
    f"{LOCALIZATION['dense']}",
    "plain_block_bias_2_dense": "--noresidual --attention_bias=2 "
    f"{LOCALIZATION['dense']}",
    "warmup": "--background_warmup_epochs=5",
    "weighted_warmup": "--activation=weighted --background_warmup_epochs=5",
    "plain_block_warmup": _ACTIVITYNET_TRAINING,
    "chosen": ACTIVITYNET_CHOSEN,
    "chosen_wide": f"{ACTIVITYNET_CHOSEN} --learning_rate=0.0001 "
    "--lambda_smt=0.05 --precision=mixed_bfloat16 --cache_gb=8",
} | {
    f"chosen_{name}": f"{ACTIVITYNET_CHOSEN} "
    f"--flagfile=configs/ablations/table{name}.flags"
    for name in TABLE_ROWS
}

# ACM-Net itself: flags of benchmarks.peers.acmnet. A rate that is not named is
# its own, 1e-4.
PEER = {
    "acmnet_itself": "",
    "acmnet_itself_0.0008": "--learning_rate=0.0008",
    "acmnet_itself_0.002": "--learning_rate=0.002",
    "acmnet_itself_0.0008_dropout_0": "--learning_rate=0.0008 --set=dropout=0",
    "acmnet_itself_dropout_0": "--set=dropout=0",
}
PEER_WIDE = (
    "--epochs=60",
    "--num_snippets=400",
    "--test_every=6",
    "--bfloat16",
)
PEER_BASE = ("--epochs=100", "--num_snippets=400", "--test_every=20")
# Its settings for ActivityNet, but the recipe's batch size instead of 64.
PEER_ACTIVITYNET = (
    "--dataset=ActivityNet",
    "--epochs=21",
    "--batch_size=32",
    "--test_every=5",
)

STAGES = {
    "readings": READINGS,
    "collapse": COLLAPSE,
    "report": REPORT,
    "wide": {
        name: f"{extra} {WIDE_CHOICE}" for name, extra in WIDE_READINGS.items()
    },
    "activitynet": ACTIVITYNET_READINGS,
    "peer": PEER,
}
