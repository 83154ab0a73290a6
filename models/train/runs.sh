#!/usr/bin/env bash
# The runs that made the shipped model, one command each: `runs.sh STAGE`, from a folder with models/train beside it.
#
#   rows      token rows of all epochs, for each context; runs beside the training, which waits for what it needs
#   ablate    eight short runs, two at a time on each of four GPUs, each on one epoch's rows
#   first     two heads, 28 experts: 5,770 steps at 2,048 tokens, 330 at 8,192; in the last 320 the rate goes to zero
#   grow      its masters with four heads and the 24 experts most used
#   train     from there $LENGTH seconds by the clock at 4,096 tokens, the last $DECAY of them with a rate that goes to zero
#             and weights rounded as shipped
#   third     from the masters of `train` 360 s at 4,096 tokens, the last 240 with decay and rounding, with loops to unlearn
#   fourth    from the masters of `third` 740 s at 4,096 tokens, the last 340 with decay and rounding
#   again     from $MODEL, a folder that `ds export --model embedded` wrote, $LENGTH seconds by the clock, the last $DECAY of
#             them with decay and rounding; now and then the model is asked for loops it falls into, to unlearn. Its rows, with
#             cuts and holes of their own: rows-again. Further arguments are train.py's. Runs beside it, of other names, $RUN,
#             share rows and loops. Each run had the loops.py and the search for loops of its time. From what the run before
#             had released, the fifth: SEED=5 LENGTH=1060 DECAY=400. The sixth: GPUS=2 EPOCHS=12 LENGTH=1050 DECAY=400. The
#             seventh: GPUS=1 EPOCHS=8 SEED=11 LENGTH=1150 DECAY=420 LR=4e-3. The eighth: GPUS=1 EPOCHS=6 SEED=13 LENGTH=1120
#             DECAY=600 LR=2e-3, --seed 21 --ask-every 150 --found-share 0.06 --loop-weight 8. The ninth: GPUS=1 EPOCHS=9
#             SEED=17 LENGTH=1250 DECAY=620 LR=2e-3, --seed 31 --ask-every 200 --found-share 0.06 --loop-weight 8
#   masters   what is left to carry away
#   mean      the weights half way between $EARLIER, an earlier run's masters or mean, and $LATER, special tokens kept out of their
#             text, fitted to their formats, for `export.py folder --form shipped`. Released: first of the sixth and the seventh
#             run, then of that and the eighth, then of that, not yet mended, and the ninth
#
# `first` and `train` go on where an earlier call stopped. Settings by environment: SHARDS, TOKENIZER (folder), VALID, WORK,
# GPUS, WITHOUT (projects to leave out), WORKERS, EPOCHS and SEED of rows-again. What shipped: train with LENGTH=402 DECAY=270,
# of which 320 s were steps.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${SHARDS:?}" "${TOKENIZER:?}" "${VALID:?}" "${WORK:?}" "${GPUS:=4}" "${WORKERS:=44}" "${RUN:=again}"
tokenizer=$TOKENIZER/tokenizer.json
common=(--tokenizer "$tokenizer" --valid "$VALID" --rows "$WORK/rows")

rows() {  # CONTEXT FIRST EPOCHS [SEED]
  python3 "$here/data.py" rows --shards "$SHARDS" --tokenizer "$tokenizer" --out "$WORK/rows" --workers "$WORKERS" \
    --context "$1" --first "$2" --epochs "$3" --seed "${4:-1}" --without ${WITHOUT:-}
}

ablation() {  # GPU NAME ARGUMENTS…
  local gpu=$1 name=$2
  shift 2
  CUDA_VISIBLE_DEVICES=$gpu python3 "$here/train.py" --config "$here/config-first.json" "${common[@]}" --batch 128 \
    --out "$WORK/ablate/$name" --lr 4e-3 --balance 5e-3 --middle-weight 1 --loops 0 --length 260 --warmup 40 --decay 100 \
    --valid-every 130 "$@" >"$WORK/ablate/$name.txt" 2>&1
}

training() {  # ARGUMENTS…
  torchrun --standalone --nproc-per-node "$GPUS" "$here/train.py" "${common[@]}" "$@"
}

base='"moe_intermediate_size": 192, "n_routed_experts": 18, "num_experts_per_tok": 3, "n_shared_experts": 1'

case ${1:?stage} in
  rows)
    rows 2048 0 12
    rows 8192 0 2
    rows 4096 0 7
    ;;
  ablate)
    mkdir -p "$WORK/ablate"
    rows 2048 0 1
    ablation 0 base --change "{$base}" &
    ablation 0 adamw --change "{$base}" --optimizer adamw &
    ablation 1 lr-2e-3 --change "{$base}" --lr 2e-3 &
    ablation 1 lr-8e-3 --change "{$base}" --lr 8e-3 &
    ablation 2 deep-narrow --change "{$base, \"num_hidden_layers\": 8, \"hidden_size\": 320, \"n_routed_experts\": 16}" &
    ablation 2 fine-experts &
    ablation 3 four-heads --change "{$base, \"num_attention_heads\": 4, \"n_routed_experts\": 16}" &
    ablation 3 balance-2e-2 --change "{$base}" --balance 2e-2 &
    wait
    for log in "$WORK"/ablate/*/log.jsonl; do echo "$(basename "$(dirname "$log")") $(grep valid_bpb "$log" | tail -n 1)"; done
    ;;
  first)
    training --config "$here/config-first.json" --out "$WORK/first" --length 6100 --decay 320 --stretch 330 --balance 5e-3 \
      --middle-weight 1 --loops 0
    ;;
  grow)
    python3 "$here/export.py" masters --state "$WORK/first" --out "$WORK/first/masters"
    python3 "$here/grow.py" --from-config "$here/config-first.json" --config "$here/config.json" --valid "$VALID" \
      --tokenizer "$tokenizer" --state "$WORK/first/masters" --out "$WORK/grown"
    ;;
  train)
    training --config "$here/config.json" --out "$WORK/run" --initial "$WORK/grown" --context 4096 --batch 128 --micro 32 \
      --by seconds --length "${LENGTH:?}" --decay "${DECAY:?}" --lr 5e-3 --warmup 60 --valid-every 400 --loops 0
    ;;
  third)
    python3 "$here/export.py" masters --state "$WORK/run" --out "$WORK/run/masters"
    training --config "$here/config.json" --out "$WORK/third" --initial "$WORK/run/masters" --context 4096 --batch 128 \
      --micro 32 --by seconds --length "${LENGTH:=360}" --decay "${DECAY:=240}" --lr 5e-3 --warmup 60 --loops 0.08
    ;;
  fourth)
    python3 "$here/export.py" masters --state "$WORK/third" --out "$WORK/third/masters"
    training --config "$here/config.json" --out "$WORK/fourth" --initial "$WORK/third/masters" --context 4096 --batch 128 \
      --micro 32 --by seconds --length "${LENGTH:=740}" --decay "${DECAY:=340}" --lr 5e-3 --warmup 60 --loops 0.1 \
      --valid-every 600
    ;;
  rows-again) rows 4096 0 "${EPOCHS:=22}" "${SEED:=6}" ;;
  again)
    training --config "$here/config.json" --out "$WORK/$RUN" --initial "${MODEL:?}" --context 4096 --batch 128 --micro 32 \
      --by seconds --length "${LENGTH:?}" --decay "${DECAY:?}" --lr "${LR:=5e-3}" --warmup 60 --loops "${LOOPS:=0.1}" \
      --found "$WORK/found" --save-every 400 --valid-every 400 "${@:2}"
    ;;
  masters) python3 "$here/export.py" masters --state "$WORK/$RUN" --out "$WORK/$RUN/masters" ;;
  mean)
    python3 "$here/export.py" mean "${EARLIER:?}" "${LATER:=$WORK/$RUN/masters}" --config "$here/config.json" --out "$WORK/mean"
    python3 "$here/mend.py" --config "$here/config.json" --state "$WORK/mean" --valid "$VALID" --tokenizer "$tokenizer" \
      --out "$WORK/mended"
    python3 "$here/fit.py" --config "$here/config.json" --state "$WORK/mended" --valid "$VALID" --tokenizer "$tokenizer" \
      --out "$WORK/fitted"
    ;;
  *) echo "unknown stage $1" >&2 && exit 2 ;;
esac
