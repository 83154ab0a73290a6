#!/usr/bin/env python3
"""Writes the source of a oneDNN that a host has for itself: `other_onednn.py LIBRARY OUT.c`.

It shows every name that LIBRARY, the one that the plugin finds, shows, and ends the process when one is called. Three work, so
that the host has something to call: dnnl_version says 9.9.9, dnnl_sgemm multiplies, and dnnl_set_verbose notes that it was
called. Without a LIBRARY that exists, those three are all.
"""
import re
import subprocess
import sys
from pathlib import Path

WORKING = """/* Written by other_onednn.py, which says what this is. */
#include <stdint.h>

int host_onednn_verbose_calls;

typedef struct {
  int major, minor, patch;
} version;

const version *dnnl_version(void) {
  static const version own = {9, 9, 9};
  return &own;
}

int dnnl_set_verbose(int level) {
  (void)level;
  ++host_onednn_verbose_calls;
  return 0;
}

/* Row-major, neither matrix transposed. */
int dnnl_sgemm(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
               int64_t ldb, float beta, float *c, int64_t ldc) {
  if (ta != 'N' || tb != 'N') return 1;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float sum = beta ? beta * c[i * ldc + j] : 0;
      for (int64_t l = 0; l < k; ++l) sum += alpha * a[i * lda + l] * b[l * ldb + j];
      c[i * ldc + j] = sum;
    }
  return 0;
}
"""
OWN = re.compile(r"(dnnl_\w+|_ZN?K?4dnnl\w+)$")  # not the parts of the C++ runtime that it shows, too


def names(library):
    """(functions, variables) that a shared library defines."""
    listed = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    found = [line.split()[1:] for line in listed.splitlines()]
    ours = [(kind, name) for kind, name in found if OWN.match(name) and f" {name}(" not in WORKING and f"*{name}(" not in WORKING]
    return sorted(name for kind, name in ours if kind in "TW"), sorted(name for kind, name in ours if kind in "BDV")


def main():
    functions, variables = names(sys.argv[1]) if Path(sys.argv[1]).exists() else ([], [])
    text = WORKING + "".join(f"void {name}(void) {{ __builtin_trap(); }}\n" for name in functions)
    Path(sys.argv[2]).write_text(text + "".join(f"char {name}[4096];\n" for name in variables), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
