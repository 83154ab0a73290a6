#!/usr/bin/env bash
# The runs that made the shipped model, one command each: `runs.sh STAGE`, from a folder with models/train beside it.
#
#   rows      token rows of all epochs, both contexts; runs beside the training, which waits for what it needs
#   ablate    eight short runs, two at a time on each of four GPUs, each on one epoch's rows
#   stable    warm-up and constant rate at 2,048 tokens, for $SECONDS_STABLE seconds
#   stretch   constant rate at 8,192 tokens, for $SECONDS_STRETCH seconds
#   decay     the rate going to zero within about $SECONDS_DECAY seconds, weights rounded as shipped
#   masters   what is left to carry away
#
# Each goes on where the one before it stopped. Settings by environment: SHARDS, TOKENIZER (folder), VALID, WORK, GPUS,
# LR, CHANGE (JSON of config fields), WITHOUT (projects to leave out).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${SHARDS:?}" "${TOKENIZER:?}" "${VALID:?}" "${WORK:?}" "${GPUS:=4}" "${WORKERS:=44}"
tokenizer=$TOKENIZER/tokenizer.json
settings=(--change "${CHANGE:-{\}}" --lr "${LR:-4e-3}")
long=(--context 8192 --batch 64 --micro 16)
common=(--config "$here/config.json" --tokenizer "$tokenizer" --valid "$VALID")

rows() {  # CONTEXT FIRST EPOCHS
  python3 "$here/data.py" rows --shards "$SHARDS" --tokenizer "$tokenizer" --out "$WORK/rows" --workers "$WORKERS" \
    --context "$1" --first "$2" --epochs "$3" --without ${WITHOUT:-}
}

train() {  # ARGUMENTS…
  torchrun --standalone --nproc-per-node "$GPUS" "$here/train.py" "${common[@]}" --rows "$WORK/rows" "$@"
}

ablation() {  # GPU NAME ARGUMENTS…
  local gpu=$1 name=$2
  shift 2
  CUDA_VISIBLE_DEVICES=$gpu python3 "$here/train.py" "${common[@]}" --rows "$WORK/rows" --out "$WORK/ablate/$name" --batch 128 \
    --steps 260 --warmup 40 --decay 100 --valid-every 130 "$@" >"$WORK/ablate/$name.txt" 2>&1
}

case ${1:?stage} in
  rows)
    rows 2048 0 "${EPOCHS:-12}"
    rows 8192 0 "${LONG_EPOCHS:-6}"
    ;;
  ablate)
    mkdir -p "$WORK/ablate"
    rows 2048 0 1
    ablation 0 base &
    ablation 0 adamw --optimizer adamw &
    ablation 1 lr-2e-3 --lr 2e-3 &
    ablation 1 lr-8e-3 --lr 8e-3 &
    ablation 2 deep-narrow --change '{"num_hidden_layers": 8, "hidden_size": 320, "n_routed_experts": 16}' &
    ablation 2 fine-experts \
      --change '{"moe_intermediate_size": 128, "n_routed_experts": 28, "num_experts_per_tok": 4, "n_shared_experts": 2}' &
    ablation 3 four-heads --change '{"num_attention_heads": 4, "n_routed_experts": 16}' &
    ablation 3 balance-2e-2 --balance 2e-2 &
    wait
    for log in "$WORK"/ablate/*/log.jsonl; do echo "$(basename "$(dirname "$log")") $(grep valid_bpb "$log" | tail -n 1)"; done
    ;;
  stable)
    train --out "$WORK/run" --steps 1000000 --decay 1 --seconds "${SECONDS_STABLE:?}" --batch 256 "${settings[@]}"
    ;;
  stretch)
    train --out "$WORK/run" --steps 1000000 --decay 1 --seconds "${SECONDS_STRETCH:?}" "${long[@]}" "${settings[@]}"
    ;;
  decay)
    # As many steps as fit, by the speed that was logged last.
    read -r step rate < <(python3 - "$WORK/run/log.jsonl" <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
print(lines[-1]["step"], [line["tokens_per_second"] for line in lines if line.get("tokens_per_second")][-1])
END
    )
    steps=$((SECONDS_DECAY * rate / (64 * 8192)))
    train --out "$WORK/run" --steps $((step + steps)) --decay "$steps" --quantise-from "$step" "${long[@]}" "${settings[@]}"
    ;;
  masters) python3 "$here/export.py" masters --state "$WORK/run" --out "$WORK/masters" ;;
  *) echo "unknown stage $1" >&2 && exit 2 ;;
esac
