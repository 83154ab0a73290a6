"""Every block format against the Python package `gguf`: block_parity_test.py BLOCK_TOOL

Writing Q4_0 and Q8_0 the plain way gives the same bytes; with a search for scales no format may lose more than that package,
or llama.cpp's own code where the package `xllamacpp` is there too. Decoding must give the same bits, on random blocks and on hostile ones: all zero, all ones, largest and subnormal scales,
infinite scales (where NaN equals NaN). Without the package the test is skipped.
"""
import ctypes
import importlib.util
import pathlib
import subprocess
import sys

import numpy as np

try:
    from gguf import quants
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
except ImportError:
    print("the Python package gguf is not installed")
    sys.exit(77)

TOOL = sys.argv[1]
# Where the binary16 numbers of a block lie.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
          "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ1_S": [0], "IQ1_M": [], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
          "TQ1_0": [52], "TQ2_0": [64]}
LARGEST, SUBNORMAL, INFINITE = 0x7bff, 0x0001, 0x7c00


def tool(action, name, cols, data):
    done = subprocess.run([TOOL, action, name.lower(), str(cols)], input=data.tobytes(), capture_output=True, check=True)
    return done.stdout


def blocks_of(name, size):
    """About 1500 blocks: random ones with sane scales, then the hostile ones. One block of 0xff has NaN scales."""
    random = np.random.default_rng(list(name.encode()))
    blocks = random.integers(0, 256, (1400, size), dtype=np.uint8)
    halves = HALVES[name]
    for at in halves:
        sane = random.normal(0, 0.02, 1300).astype(np.float16)
        blocks[:1300, at:at + 2] = sane.view(np.uint8).reshape(-1, 2)
    blocks[1300] = 0
    blocks[1301] = 255
    for row, bits in ((1302, LARGEST), (1303, LARGEST | 0x8000), (1304, SUBNORMAL), (1305, SUBNORMAL | 0x8000), (1306, INFINITE), (1307, 0), (1308, 0x8000)):
        for at in halves:
            blocks[row, at:at + 2] = (bits & 255, bits >> 8)
    if name == "MXFP4":  # every exponent, behind those that weights have
        blocks[:1300, 0] = random.integers(112, 124, 1300)
        blocks[1100:1300, 0] = np.arange(200)
    if name == "IQ1_M":  # its scale is spread over the top nibbles of four words
        sane = random.normal(0, 0.02, 1300).astype(np.float16).view(np.uint16)
        for i in range(4):
            blocks[:1300, 49 + 2 * i] = blocks[:1300, 49 + 2 * i] & 15 | (sane >> 4 * i & 15) << 4
    return blocks  # the rest keeps random scales, among them NaN


def equal_bits(ours, theirs):
    nan = np.isnan(ours) & np.isnan(theirs)
    return (ours.view(np.uint32) == theirs.view(np.uint32)) | nan


def check_decoding(name):
    quant = getattr(GGMLQuantizationType, name)
    elements, size = GGML_QUANT_SIZES[quant]
    blocks = blocks_of(name, size)
    with np.errstate(all="ignore"):
        theirs = np.ascontiguousarray(quants.dequantize(blocks, quant)).reshape(len(blocks), elements)
    ours = np.frombuffer(tool("decode", name, elements, blocks), np.float32).reshape(len(blocks), elements)
    same = equal_bits(ours, theirs)
    if not same.all():
        row, col = np.argwhere(~same)[0]
        return f"{name}: block {row}, element {col}: {ours[row, col]!r}, expected {theirs[row, col]!r}"
    if not np.isfinite(theirs[:1300]).all():
        return f"{name}: the random blocks are not finite"
    return None


EXACT = {"Q5_0", "IQ4_NL", "TQ1_0", "TQ2_0", "MXFP4"}
COPIED = {"Q4_0", "Q4_1", "Q8_0"}


def check_repacking(name):
    """What backends get instead: the same numbers for EXACT, else an error below 0.6% of their root mean square."""
    elements, size = GGML_QUANT_SIZES[getattr(GGMLQuantizationType, name)]
    blocks = blocks_of(name, size)[:1000]
    before = np.frombuffer(tool("decode", name, elements, blocks), np.float32).astype(np.float64)
    packed = tool("repack", name, elements, blocks)
    to = {"TQ1_0": "Q4_0", "TQ2_0": "Q4_0", "Q4_0": "Q4_0", "Q4_1": "Q4_1", "Q4_K": "Q4_1"}.get(name, "Q8_0")
    after = np.frombuffer(tool("decode", to, elements, np.frombuffer(packed, np.uint8)), np.float32).astype(np.float64)
    error = np.sqrt(np.mean((after - before) ** 2) / np.mean(before ** 2))
    print(f"{name} to {to}: relative error {error:.2e}")
    if name in EXACT | COPIED and error:
        return f"{name}: repacking is not exact: {error:.3g}"
    return f"{name}: repacking costs {error:.4f} of the numbers" if error > 0.006 else None


def check_formats():
    """Elements and bytes of every format that both know, and that none of ours went uncompared."""
    for line in subprocess.run([TOOL, "list"], capture_output=True, check=True, text=True).stdout.splitlines():
        name, elements, size = line.split()
        known = getattr(GGMLQuantizationType, name.upper(), None)
        if known is not None and GGML_QUANT_SIZES[known] != (int(elements), int(size)):
            return f"{name}: {elements} elements in {size} bytes, expected {GGML_QUANT_SIZES[known]}"
        if int(elements) > 1 and name.upper() not in HALVES and name != "q8_k":  # the package cannot decode q8_k
            return f"{name} is not compared"
    return None


def check_f16():
    codes = np.arange(65536, dtype=np.uint16)
    for name, theirs in (("f16", codes.view(np.float16).astype(np.float32)), ("bf16", (codes.astype(np.uint32) << 16).view(np.float32))):
        ours = np.frombuffer(tool("decode", name, 65536, codes), np.float32)
        if not equal_bits(ours, theirs).all():
            return f"{name}: decoding differs"
    return None


def numbers_to_write():
    """Rows of 512: bell-shaped, heavy tails, off centre, zeros, one number alone, tiny ones (also below binary16)."""
    random = np.random.default_rng(7)
    rows = [random.normal(0, 0.02, (200, 512)), random.standard_t(4, (200, 512)) * 0.02, random.uniform(-0.03, 0.05, (100, 512)), np.zeros((1, 512)),
            np.eye(1, 512, 77) * -3, random.normal(0, 1e-6, (8, 512)), random.normal(0, 1e-41, (8, 512)), random.integers(-8, 8, (8, 512)) * 0.5]
    return np.concatenate(rows).astype(np.float32)


def check_plain(name):
    numbers = numbers_to_write()
    with np.errstate(all="ignore"):
        theirs = quants.quantize(numbers, getattr(GGMLQuantizationType, name))
    ours = np.frombuffer(tool("plain", name, 512, numbers), np.uint8).reshape(theirs.shape)
    if (ours == theirs).all():
        return None
    row, byte = np.argwhere(ours != theirs)[0]
    return f"{name}: written row {row}, byte {byte}: {ours[row, byte]}, expected {theirs[row, byte]}"


def llama_cpp():
    """ggml_quantize_chunk of a build that shows its symbols, or None."""
    spec = importlib.util.find_spec("xllamacpp")
    for path in pathlib.Path(spec.origin).parent.glob("*.so") if spec else ():
        chunk = getattr(ctypes.CDLL(str(path), mode=1), "ggml_quantize_chunk", None)  # 1: symbols are looked up when called
        if chunk:
            chunk.restype, chunk.argtypes = ctypes.c_size_t, [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
            return chunk
    return None


def check_writing(name, chunk):
    """The error of our blocks is not above that of theirs, on the rows that look like weights."""
    quant, numbers = getattr(GGMLQuantizationType, name), numbers_to_write()[:500]
    elements, size = GGML_QUANT_SIZES[quant]
    if chunk:
        theirs = np.zeros(numbers.size // elements * size, np.uint8)
        chunk(int(quant), numbers.ctypes.data, theirs.ctypes.data, 0, *numbers.shape, None)
    else:
        try:
            theirs = quants.quantize(numbers, quant)
        except NotImplementedError:
            return None
    errors = []
    for data in (np.frombuffer(tool("encode", name, 512, numbers), np.uint8), theirs):
        values = np.frombuffer(tool("decode", name, 512, data), np.float32).reshape(numbers.shape)
        errors.append(np.sqrt(np.mean((values.astype(np.float64) - numbers) ** 2) / np.mean(numbers.astype(np.float64) ** 2)))
    print(f"{name} written: relative error {errors[0]:.5f}, {'llama.cpp' if chunk else 'gguf'} {errors[1]:.5f}")
    return f"{name}: written with a larger error than elsewhere" if errors[0] > errors[1] else None


WRITTEN = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
chunk = llama_cpp()
written = [check_plain("Q4_0"), check_plain("Q8_0")] + [check_writing(name, chunk) for name in WRITTEN]
failures = [failure for failure in written + [check_formats(), check_f16()] + [check(name) for name in HALVES for check in (check_decoding, check_repacking)] if failure]
print("\n".join(failures) if failures else f"{len(HALVES) + 2} formats: the same bits")
sys.exit(1 if failures else 0)
