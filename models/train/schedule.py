"""When a run has which learning rate and which context, and when it ends.

Owns the warm-up / stable / decay schedule (Hu et al. 2024) as plain data. Its unit is the step or the second: a rented
machine ends at a time, not at a step, so a run may be planned by the clock; the log then says which step had which
rate, and the same run can be made again in steps. Leaves the counting of either to train.py.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Schedule:
    lr: float
    warmup: int     # steps, whatever the unit of the others
    length: float   # of the whole run
    decay: float    # its last part, in which the rate goes to zero and weights are used as the shipped format has them
    stretch: float  # its very last part, with the long context

    def left(self, done):
        return self.length - done

    def over(self, done):
        return self.left(done) <= 0

    def decaying(self, done):
        return self.left(done) < self.decay

    def stretched(self, done):
        return self.stretch > 0 and self.left(done) < self.stretch

    def rate(self, step, done):
        """Linear warm-up, constant, then linear to zero."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        return self.lr * min(1.0, max(self.left(done), 0) / max(self.decay, 1e-9))
