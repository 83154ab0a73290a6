"""Trains the model: one process for each GPU, `torchrun --nproc-per-node N train.py …` or plain `python train.py …`.

Owns the loop: reading rows, the warm-up / stable / decay schedule (Hu et al. 2024), validation, checkpoints, the log. A
run stops at --until and goes on from its checkpoint when it is called again, so several short runs add up; the
batches of a step depend on the seed and the step alone. Appends one JSON object a line to OUT/log.jsonl.
"""
import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

import data
from model import DeepSeek, load_config
from optim import Optimizer


VALID_MICRO = 8  # rows; what does not fill them is left out, so that shapes stay the same


class Rows:
    """All rows of one epoch after another, shuffled by seed and epoch; waits for an epoch that is still being written."""

    def __init__(self, folder, context, seed):
        self.folder, self.context, self.seed = folder, context, seed
        self.epoch, self.rows, self.order = -1, np.empty((0, context), np.uint16), np.empty(0, np.int64)
        self.starts = [0]  # first row of each epoch

    def _load(self, epoch):
        folder = data.epoch_folder(self.folder, self.context, epoch)
        waited = time.time()
        while not (folder / "done").exists():
            if time.time() - waited > 300:
                raise RuntimeError(f"{folder} was not completed within 300 s")
            time.sleep(0.5)
        parts = [np.fromfile(path, np.uint16).reshape(-1, self.context) for path in sorted(folder.glob("*.u16"))]
        self.rows = np.concatenate(parts)
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.rows))
        self.epoch = epoch

    def _epoch_of(self, row):
        while True:
            known = len(self.starts) - 1
            if row < self.starts[-1]:
                return next(e for e in range(known) if row < self.starts[e + 1])
            self._load(known)
            self.starts.append(self.starts[-1] + len(self.rows))

    def get(self, first, count):
        """Rows first … first + count - 1 of the endless sequence, int64 [count, context]."""
        out = []
        while count:
            epoch = self._epoch_of(first)
            if epoch != self.epoch:
                self._load(epoch)
            at = first - self.starts[epoch]
            out.append(self.rows[self.order[at:at + count]])
            first, count = first + len(out[-1]), count - len(out[-1])
        return torch.from_numpy(np.concatenate(out).astype(np.int64))


def learning_rate(step, args):
    """Linear warm-up, constant, then linear to zero over the last `--decay` steps."""
    if step < args.warmup:
        return args.lr * (step + 1) / args.warmup
    left = args.steps - step
    return args.lr * min(1.0, left / max(args.decay, 1))


def targets_of(ids):
    return torch.cat((ids[:, 1:], ids.new_full((ids.shape[0], 1), -1)), 1)


class Trainer:
    def __init__(self, args):
        self.args = args
        self.world, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else "cpu"
        if self.world > 1:
            torch.cuda.set_device(self.device)
            dist.init_process_group("nccl")
        torch.manual_seed(args.seed)
        torch.set_float32_matmul_precision("high")
        self.config = load_config(args.config, **json.loads(args.change))
        self.model = DeepSeek(self.config).to(self.device)
        self.optimizer = Optimizer(self.model, args.optimizer, args.weight_decay)
        self.forward = torch.compile(self.model, dynamic=False) if args.compile else self.model
        self.rows = Rows(args.rows, args.context, args.seed)
        self.step, self.row, self.tokens, self.seconds = 0, 0, 0, 0.0
        self.valid = None
        if args.valid:
            self.valid, self.bytes_per_token = data.plain_rows(args.valid, args.tokenizer, args.context)
        Path(args.out).mkdir(parents=True, exist_ok=True)
        self._resume()

    def _resume(self):
        path = Path(self.args.out) / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.optimizer.load_state(state["optimizer"])
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
        # Rows of another context are another sequence, read from its beginning.
        self.row = state["row"] if state["context"] == self.args.context else 0

    def save(self):
        if self.rank:
            return
        state = {"optimizer": self.optimizer.state(), "step": self.step,
                 "row": self.row, "tokens": self.tokens, "seconds": self.seconds, "context": self.args.context}
        path = Path(self.args.out) / "state.pt"
        torch.save(state, f"{path}.tmp")
        os.replace(f"{path}.tmp", path)

    def log(self, **fields):
        if self.rank:
            return
        line = json.dumps({"step": self.step, "tokens": self.tokens, "context": self.args.context, **fields})
        print(line, flush=True)
        with open(Path(self.args.out) / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def quantised(self):
        return self.args.quantise_from is not None and self.step >= self.args.quantise_from

    def batch(self):
        """This process's share of the step's rows, in pieces of --micro rows."""
        own = self.args.batch // self.world
        rows = self.rows.get(self.row + self.rank * own, own)
        self.row += self.args.batch
        return rows.split(self.args.micro)

    def train_step(self):
        args = self.args
        self.optimizer.publish(self.quantised())
        micros = self.batch()
        total = torch.zeros(2, device=self.device)
        for ids in micros:
            ids = ids.to(self.device, non_blocking=True)
            loss, balance, self.loads = self.forward(ids, targets_of(ids))
            ((loss + args.balance * balance) / len(micros)).backward()
            total += torch.stack((loss.detach(), balance.detach())) / len(micros)
        if self.world > 1:
            dist.all_reduce(self.optimizer.grads, op=dist.ReduceOp.AVG)
        norm = self.optimizer.step(learning_rate(self.step, args))
        self.step += 1
        self.tokens += args.batch * args.context
        return total, norm

    @torch.no_grad()
    def validate(self):
        """Nats per token, bits per byte and the heaviest expert's share over the even one, on the validation rows."""
        self.optimizer.publish(self.quantised())
        rows = torch.from_numpy(self.valid.astype(np.int64))[self.rank::self.world]
        total, loads = torch.zeros(2, device=self.device), 0
        for ids in rows[:len(rows) // VALID_MICRO * VALID_MICRO].split(VALID_MICRO):
            ids = ids.to(self.device)
            loss, _, load = self.forward(ids, targets_of(ids))
            total += torch.stack((loss * len(ids), torch.tensor(float(len(ids)), device=self.device)))
            loads = loads + load
        if self.world > 1:
            dist.all_reduce(total)
        nats = (total[0] / total[1]).item()
        loads = loads / loads.sum(-1, keepdim=True) * loads.shape[-1]
        return {"valid_nats": round(nats, 4), "valid_bpb": round(nats / 0.6931472 / self.bytes_per_token, 4),
                "load_max": round(loads.max().item(), 2), "load_min": round(loads.min().item(), 2)}

    def out_of_time(self, begin):
        """The first process's clock decides for all, now and then."""
        if not self.args.seconds or self.step % 10:
            return False
        over = torch.tensor(float(time.time() - begin > self.args.seconds), device=self.device)
        if self.world > 1:
            dist.broadcast(over, 0)
        return over.item() > 0

    def run(self):
        args, begin, since, last = self.args, time.time(), self.seconds, 0
        losses = []
        while self.step < min(args.until or args.steps, args.steps):
            if self.out_of_time(begin):
                break
            total, norm = self.train_step()
            losses.append(total)
            self.seconds = since + time.time() - begin
            if self.step % args.log_every == 0:
                mean = torch.stack(losses).mean(0).tolist()
                now = time.time()
                rate = len(losses) * args.batch * args.context / (now - last) if last else 0
                losses, last = [], now
                self.log(loss=round(mean[0], 4), balance=round(mean[1], 4), norm=round(norm.item(), 3),
                         lr=learning_rate(self.step - 1, args), tokens_per_second=round(rate))
            if self.valid is not None and (self.step % args.valid_every == 0 or self.step == args.steps):
                self.log(**self.validate())
                last = 0
                losses = []
            if self.step % args.save_every == 0:
                self.save()
        self.save()
        self.log(saved=True, seconds=round(self.seconds))
        if self.world > 1:
            dist.barrier()
            dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--config", required=True)
    add("--change", default="{}", help="JSON of config fields to change, for ablations")
    add("--rows", required=True, help="what data.py wrote")
    add("--valid", help="documents to validate on")
    add("--tokenizer")
    add("--out", required=True)
    add("--context", type=int, default=2048)
    add("--batch", type=int, default=256, help="rows of a step, over all processes")
    add("--micro", type=int, default=64, help="rows of one forward pass")
    add("--steps", type=int, required=True, help="of the whole schedule")
    add("--until", type=int, help="stop here and save; a later call goes on")
    add("--seconds", type=float, help="stop and save after so long")
    add("--warmup", type=int, default=200)
    add("--decay", type=int, default=0)
    add("--quantise-from", type=int, help="step from which weights are used as the shipped format has them")
    add("--lr", type=float, default=4e-3)
    add("--weight-decay", type=float, default=0.1)
    add("--balance", type=float, default=5e-3)
    add("--optimizer", choices=["muon", "adamw"], default="muon")
    add("--valid-every", type=int, default=500)
    add("--save-every", type=int, default=1000, help="steps; what a run that is stopped from outside keeps")
    add("--log-every", type=int, default=20)
    add("--seed", type=int, default=1)
    add("--no-compile", dest="compile", action="store_false")
    Trainer(parser.parse_args()).run()


if __name__ == "__main__":
    main()
