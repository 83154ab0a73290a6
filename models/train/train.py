"""Trains the model: one process for each GPU, `torchrun --nproc-per-node N train.py …` or plain `python train.py …`.

Owns the loop: reading rows, the weight of each target, validation, checkpoints, the log. A run that is stopped goes on
from its checkpoint when it is called again, so several short runs add up; the batches of a step depend on the seed and the
step alone, but for --found. Appends one JSON object a line to OUT/log.jsonl. Leaves the plan of rate and context to schedule.py.
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
import decode
import greedy
import loops
from model import DeepSeek, load_config
from export import named_masters
from optim import RANKS, Optimizer, rank_of
from schedule import Schedule

STARTED = time.time()
FEWEST = 500   # rows of loops that the model fell into; if there are fewer, their share is less, too
NEWEST = 4000  # of them are drawn from
SYNC = 10  # steps between looks at the clock, which all processes take from the first


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

    def some(self, first, count, rng):
        """Any `count` rows of the epoch of row `first`, int64 [count, context]."""
        epoch = self._epoch_of(first)
        if epoch != self.epoch:
            self._load(epoch)
        return self.rows[rng.integers(len(self.rows), size=count)].astype(np.int64)

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


def targets_of(ids):
    return torch.cat((ids[:, 1:], ids.new_full((ids.shape[0], 1), -1)), 1)


def in_middle(ids, special):
    """Whether the next token belongs to a middle or ends it, [B, T]."""
    at = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    opened = torch.where(ids == special["end"], at, -1).cummax(1).values
    closed = torch.where(ids == special["eos"], at, -1).cummax(1).values
    return opened > closed


def exact_middles(nats, mask):
    """(middles of which every token has more than half of the probability, so that greedy choice finds it; all middles)."""
    good = total = 0
    for row, inside in zip((nats < 0.6931).cpu().numpy(), mask.cpu().numpy()):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], inside.astype(np.int8), [0]))))
        good += sum(row[begin:end].all() for begin, end in zip(edges[::2], edges[1::2]))
        total += len(edges) // 2
    return good, total


def means(nats, lag, middle, counts):
    """Nats of a token of the text, of one in a middle; the probability of a token that repeats."""
    repeated, text = lag > 0, counts & (lag == 0)

    def mean(values, where):
        return (values * where).sum() / where.sum().clamp(min=1)

    return mean(nats, text), mean(nats, text & middle), mean(torch.exp(-nats), repeated)


class Found:
    """Rows of loops that the model fell into and their lags, [n, 2, context], the NEWEST of all files *.u16 of a folder, which
    several runs may share, and the beginnings that led to them in this run."""

    def __init__(self, folder, context):
        self.folder, self.context, self.files, self.led = folder, context, 0, []
        self.rows = np.empty((0, 2, context), np.uint16)

    def look(self):
        paths = sorted(Path(self.folder).glob("*.u16"), key=os.path.getmtime) if self.folder else []
        if len(paths) != self.files:
            parts = [np.fromfile(path, np.uint16).reshape(-1, 2, self.context) for path in paths]
            self.rows, self.files = np.concatenate(parts)[-NEWEST:], len(paths)

    def add(self, name, pieces, filler):
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        path = Path(self.folder) / f"{name}.u16"
        greedy.rows_of(pieces, self.context, filler).tofile(f"{path}.tmp")
        os.replace(f"{path}.tmp", path)

    def put_into(self, ids, lag, weight, share, rng):
        """A `share` of the rows of ids [B, T] becomes such rows, less while there are few; which, [B] bool. Of them only
        repetitions count."""
        chosen = torch.from_numpy(rng.random(len(ids)) < min(share, len(self.rows) / FEWEST))
        if chosen.any():
            drawn = torch.from_numpy(self.rows[rng.integers(len(self.rows), size=int(chosen.sum()))].astype(np.int64))
            ids[chosen], lag[chosen], weight[chosen] = drawn[:, 0], drawn[:, 1], (drawn[:, 1] > 0).float()
        return chosen


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
        self.schedule = Schedule(args.lr, args.warmup, args.length, args.decay, args.stretch)
        self.model = DeepSeek(self.config).to(self.device)
        self.optimizer = Optimizer(self.model, args.optimizer, args.weight_decay)
        self.forward = torch.compile(self.model, dynamic=False) if args.compile else self.model
        encoder = data.Encoder(args.tokenizer)
        self.special, self.ends_line = encoder.special, encoder.ends_line
        self.first_special = min(self.special.values())
        contexts = [args.context] + ([args.long_context] if args.stretch else [])
        self.rows = {context: Rows(args.rows, context, args.seed) for context in contexts}
        self.row = {context: 0 for context in contexts}
        self.found = Found(args.found, args.context)
        self.step, self.tokens, self.seconds, self.before = 0, 0, 0.0, 0.0
        self.valid = self.lines = None
        if args.valid:
            self.valid, self.bytes_per_token = data.plain_rows(args.valid, args.tokenizer, args.context)
            self.lines = data.line_rows(args.valid, args.tokenizer, args.context)
        Path(args.out).mkdir(parents=True, exist_ok=True)
        self._resume()
        self.found.look()
        if args.compile:
            self._compile(contexts)

    def _resume(self):
        path = Path(self.args.out) / "state.pt"
        if not path.exists():
            if self.args.initial:
                masters = named_masters(self.config, self.args.initial)
                named = sorted(masters.items(), key=lambda pair: RANKS.index(rank_of(*pair)))
                self.optimizer.master.copy_(torch.cat([w.flatten() for _, w in named]))
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.optimizer.load_state(state["optimizer"])
        self.step, self.tokens, self.before = state["step"], state["tokens"], state["seconds"]
        self.row.update(state["row"])

    def _compile(self, contexts):
        """Before the first step, because the clock does not wait."""
        for context in contexts:
            ids = torch.zeros(self.micro(context), context, dtype=torch.int64, device=self.device)
            nats, balance, _ = self.forward(ids, targets_of(ids), self.first_special)
            (nats.mean() + balance).backward()
        self.optimizer.grads.zero_()

    def save(self):
        if self.rank:
            return
        state = {"optimizer": self.optimizer.state(), "step": self.step, "row": self.row, "tokens": self.tokens,
                 "seconds": self.seconds}
        path = Path(self.args.out) / "state.pt"
        torch.save(state, f"{path}.tmp")
        os.replace(f"{path}.tmp", path)

    def log(self, **fields):
        if self.rank:
            return
        line = json.dumps({"step": self.step, "tokens": self.tokens, "seconds": round(self.seconds), **fields})
        print(line, flush=True)
        with open(Path(self.args.out) / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def done(self):
        """How much of the schedule is behind: steps, or seconds since the process began, those of earlier ones added."""
        return self.step if self.args.by == "steps" else self.seconds

    def look_at_clock(self):
        now = torch.tensor(self.before + time.time() - STARTED, device=self.device, dtype=torch.float64)
        if self.world > 1:
            dist.broadcast(now, 0)
        self.seconds = now.item()

    def context(self):
        return self.args.long_context if self.schedule.stretched(self.done()) else self.args.context

    def rows_of(self, context):
        """Rows of a step, over all processes: always as many tokens."""
        return self.args.batch * self.args.context // context

    def micro(self, context):
        return max(1, min(self.args.micro * self.args.context // context, self.rows_of(context) // self.world))

    def batch(self, context):
        """This process's share of the step's rows, in pieces."""
        own = self.rows_of(context) // self.world
        rows = self.rows[context].get(self.row[context] + self.rank * own, own)
        self.row[context] += own * self.world
        return rows.split(self.micro(context))

    def train_step(self):
        args, context = self.args, self.context()
        self.optimizer.publish(self.schedule.decaying(self.done()))
        micros = self.batch(context)
        rng = np.random.default_rng((args.seed, self.step, self.rank))
        total = torch.zeros(4, device=self.device)
        for ids in micros:
            made = loops.with_loops(ids, args.loops, rng, self.first_special, self.ends_line)
            found = self.found.put_into(*made, args.found_share, rng).to(self.device)[:, None]
            ids, lag, counts = (part.to(self.device, non_blocking=True) for part in made)
            if args.loops or args.found:
                lag = loops.with_cycles(ids, lag, found, self.first_special)
            targets, middle = targets_of(ids), in_middle(ids, self.special)
            (nats, special, other), balance, self.loads = self.forward(ids, targets, self.first_special)
            weight = torch.where(middle, args.middle_weight, 1.0) * counts * (targets >= 0)
            loss = (loops.loop_loss(nats, special, other, lag, args.loop_weight) * weight).sum() / weight.sum()
            ((loss + args.balance * balance) / len(micros)).backward()
            seen = means(nats.detach(), lag, middle, (counts > 0) & (targets >= 0))
            total += torch.stack((*seen, balance.detach())) / len(micros)
        if self.world > 1:
            dist.all_reduce(self.optimizer.grads, op=dist.ReduceOp.AVG)
        norm = self.optimizer.step(self.schedule.rate(self.step, self.done()))
        self.step += 1
        self.tokens += self.rows_of(context) * context
        return total, norm

    def ask(self):
        """Lets the model, as it is, go on from beginnings of some rows and from some that led to loops before; what loops joins
        the rows to unlearn."""
        args, eos = self.args, self.special["eos"]
        rng = np.random.default_rng((args.seed, self.step, self.rank, 1))
        self.optimizer.publish(self.schedule.decaying(self.done()))
        order, most = rng.permutation(len(self.found.led)), int(args.prompts * greedy.AGAIN)
        again, others = ([self.found.led[i] for i in part] for part in (order[:most], order[most:]))
        rows = self.rows[args.context].some(self.row[args.context], 16 * args.batch, rng)
        begins = again + greedy.beginnings(rows, args.prompts - len(again), rng, self.special, self.ends_line)
        if not begins:
            return {"asked": 0}
        answers = decode.answers(self.model, begins, greedy.TOKENS, self.first_special)
        places, pieces = greedy.loops_of(answers, begins)
        self.found.led = others + [begins[place] for place in places]
        self.found.add(f"{Path(args.out).name}-{self.step:06}-{self.rank}", pieces, eos)
        self.found.look()
        fresh, last = sum(place >= len(again) for place in places), [ids[-1] for ids in answers[len(again):]]
        return {"asked": len(last), "loops": fresh, "ended": last.count(eos),
                "astray": sum(int(token >= self.first_special and token != eos) for token in last), "asked_again": len(again),
                "loops_again": len(places) - fresh, "found_rows": len(self.found.rows)}

    def pieces(self, rows):
        """This process's validation rows by micro batches; what does not fill one is left out, so that shapes stay, but
        too few rows are filled up with EOS."""
        rows = torch.from_numpy(rows.astype(np.int64))[self.rank::self.world]
        micro = self.micro(self.args.context)
        if len(rows) < micro:
            rows = torch.cat((rows, rows.new_full((micro - len(rows), rows.shape[1]), self.special["eos"])))
        return [piece.to(self.device) for piece in rows[:len(rows) // micro * micro].split(micro)]

    def validate(self):
        """Nats a token, bits a byte, the heaviest and lightest expert's share over the even one; of lines left out, the
        least share that greedy choice restores exactly. With gradients, which compiled code has anyway."""
        self.optimizer.publish(self.schedule.decaying(self.done()))
        total, loads = torch.zeros(4, device=self.device, dtype=torch.float64), 0
        for ids in self.pieces(self.valid):
            (nats, _, _), _, load = self.forward(ids, targets_of(ids), self.first_special)
            total[:2] += torch.tensor([nats.detach().sum().item(), ids.shape[0] * (ids.shape[1] - 1)], device=self.device)
            loads = loads + load
        for ids in self.pieces(self.lines):
            (nats, _, _), _, _ = self.forward(ids, targets_of(ids), self.first_special)
            total[2:] += torch.tensor(exact_middles(nats.detach(), in_middle(ids, self.special)), device=self.device)
        if self.world > 1:
            dist.all_reduce(total)
        nats, exact = (total[0] / total[1]).item(), (total[2] / total[3]).item()
        loads = loads / loads.sum(-1, keepdim=True) * loads.shape[-1]
        return {"valid_nats": round(nats, 4), "valid_bpb": round(nats / 0.6931472 / self.bytes_per_token, 4),
                "valid_lines": round(exact, 4), "load_max": round(loads.max().item(), 2),
                "load_min": round(loads.min().item(), 2)}

    def run(self):
        args, last, losses, logged = self.args, 0, [], 0
        self.look_at_clock()
        while not self.schedule.over(self.done()) and not (args.until and self.step >= args.until):
            if args.found and self.step % args.ask_every == 0:
                self.log(**self.ask())
                last, losses = 0, []
            total, norm = self.train_step()
            losses.append(total)
            if self.step % SYNC == 0:
                self.look_at_clock()
            if self.step % args.log_every == 0:
                mean = torch.stack(losses).mean(0).tolist()
                now = time.time()
                rate = (self.tokens - logged) / (now - last) if last else 0
                losses, last, logged = [], now, self.tokens
                named = dict(zip(("loss", "middles", "repeats", "balance"), (round(value, 4) for value in mean)))
                self.log(context=self.context(), **named, norm=round(norm.item(), 3),
                         lr=self.schedule.rate(self.step, self.done()), tokens_per_second=round(rate))
            if self.valid is not None and self.step % args.valid_every == 0:
                self.log(**self.validate())
                last, losses = 0, []
            if self.step % args.save_every == 0:
                self.save()
        self.save()
        if self.valid is not None:
            self.log(**self.validate())
        self.log(saved=True)
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
    add("--tokenizer", required=True)
    add("--out", required=True)
    add("--initial", help="folder of masters to begin with, instead of random ones")
    add("--context", type=int, default=2048)
    add("--batch", type=int, default=256, help="rows of a step, over all processes")
    add("--micro", type=int, default=64, help="rows of one forward pass")
    add("--by", choices=["steps", "seconds"], default="steps", help="the unit of the next three")
    add("--length", type=float, required=True, help="of the whole schedule")
    add("--decay", type=float, default=0, help="its last part: the rate goes to zero, weights are rounded as shipped")
    add("--stretch", type=float, default=0, help="its very last part, at --long-context")
    add("--long-context", type=int, default=8192)
    add("--until", type=int, help="step to stop at and save; a later call goes on")
    add("--warmup", type=int, default=200, help="steps")
    add("--middle-weight", type=float, default=3.0, help="of a target in a filled hole; others have 1")
    add("--loops", type=float, default=0.08, help="share of the rows that get repetitions to unlearn")
    add("--loop-weight", type=int, default=6, help="tokens that the one at which a repetition shall break counts for, at most")
    add("--found", help="folder for loops that the model falls into, to unlearn; the model is asked for them meanwhile")
    add("--found-share", type=float, default=0.05, help="of the rows that are such loops, once there are enough")
    add("--ask-every", type=int, default=120, help="steps")
    add("--prompts", type=int, default=768, help="beginnings that each process asks at once")
    add("--lr", type=float, default=6e-3)
    add("--weight-decay", type=float, default=0.1)
    add("--balance", type=float, default=2e-2)
    add("--optimizer", choices=["muon", "adamw"], default="muon")
    add("--valid-every", type=int, default=500)
    add("--save-every", type=int, default=1000, help="steps; what a run that is stopped from outside keeps")
    add("--log-every", type=int, default=20)
    add("--seed", type=int, default=1)
    add("--no-compile", dest="compile", action="store_false")
    Trainer(parser.parse_args()).run()


if __name__ == "__main__":
    main()
