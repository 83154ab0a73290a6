# Owns: the training corpus: fetching the pinned sources, cleaning them into documents, choosing and packing them.
# Leaves to others: the vocabulary (tokenizer.py), batching and training, and any evaluation on the held-out projects.
"""Build the training text of the small code model from permissively licensed source packages.

  python3 corpus.py fetch --sources sources.tsv --apt-source src.sources --index URL --downloads DL
      downloads every archive named in sources.tsv (Debian source packages through apt-get, sdists through unearth).
  python3 corpus.py build --sources sources.tsv --downloads DL --bench BENCH --work WORK --out OUT
      cleans, deduplicates, decontaminates, caps and shuffles; writes train.docs, valid.docs, heldout/<lang>.docs, stats.json.
  python3 corpus.py bench --bench BENCH --out OUT
      shows what train.docs shares with benchmarks that were not in BENCH when it was built.
  python3 corpus.py pack --out OUT
      compresses train.docs and valid.docs into independently decodable train-NNN.ppmd shards and manifest.json.

Needs: numpy and xxhash (build), unearth (fetch), pyppmd (pack and read_shard).

A .docs file is a sequence of documents: a header line "lang<TAB>project<TAB>path<TAB>nbytes", the bytes, a newline.

Near-duplicates: a document is dropped when more than 70 % of the hashes of its non-trivial lines (at least 16 bytes
after stripping) occur in documents that come before it (held-out projects first, then sources.tsv order).
"""
import argparse
import concurrent.futures as cf
import fnmatch
import hashlib
import io
import json
import os
import pickle
import re
import struct
import subprocess
import tarfile
import zipfile
from collections import Counter, defaultdict

SEED = b"deepseam-corpus-1"
MB = 1_000_000
TOTAL = 1100 * MB
PROJECT_CAP = 60 * MB
HELDOUT_CAP = 3 * MB
VALID_BYTES = 3 * MB
# Shares of the training bytes; languages that run short leave the total smaller rather than swelling another.
SHARE = {"python": .18, "c": .14, "cpp": .16, "go": .11, "rust": .10, "java": .11, "javascript": .07,
         "typescript": .07, "csharp": .08, "docs": .02, "build": .01}
ENDS = {"python": "py", "c": "c h", "cpp": "cc cpp cxx hpp hh hxx inl ipp", "go": "go", "rust": "rs", "java": "java",
        "javascript": "js mjs cjs jsx", "typescript": "ts tsx mts", "csharp": "cs", "docs": "md rst", "build": "sh cmake"}
EXT = {"." + end: lang for lang, ends in ENDS.items() for end in ends.split()}
SCARCE = ("javascript", "typescript")
CODE = [lang for lang in SHARE if lang not in ("docs", "build")]
# Copies of other projects, inputs of tests and machine-made output; mono's and TypeScript's own are in sources.tsv.
BAD_DIR = frozenset("""vendor vendored _vendor third_party thirdparty third-party 3rdparty 3rd_party node_modules bower_components
    testdata test-data test_data testfiles test_files fixtures __fixtures__ fixture __snapshots__ snapshots baselines
    goldens golden dist minified generated gen autogen locale locales translations i18n debian .git .github
    contrib-data corpora fuzz_corpus externals extern""".split())
BAD_NAME = re.compile(r"(\.min\.|\.bundle\.|\.pb\.|_pb2|_pb\.|\.g\.cs$|\.designer\.cs$|\.d\.ts$|\.generated\.|_generated|zz_generated"
                      r"|bindings?\.rs$|parsetab|lextab|unicode_?data|_tables?\.|-lock\.|changelog|changes\.|news\.|licen[cs]e"
                      r"|copying|authors|contributors|humaneval|human_eval|mbpp|cruxeval|evalplus|\.y\.c$|\.lex\.c$|\.tab\.c$)", re.I)
GENERATED = re.compile(rb"(auto|machine|code)[- ]?generated|automatically (generated|created)|generated (by|from|automatically|with|file)"
                       rb"|do not (edit|modify)|@generated|was generated", re.I)
COPYLEFT = re.compile(rb"GNU (Lesser |Library |Affero )?(General|GENERAL) Public|GNU GPL|\b[AL]?GPL-?[ v23]|\bMPL[- ]|Mozilla Public"
                      rb"|Eclipse Public|CDDL|Common Development and Distribution|Creative Commons|CC-BY-(NC|SA)|All rights reserved\. "
                      rb"Unauthorized|PROPRIETARY/CONFIDENTIAL|Microsoft Reference Source")
COPYLEFT_WORDS = (b"GNU", b"GPL", b"MPL", b"Public License", b"CDDL", b"Common Dev", b"Creative", b"CC-BY", b"PROPRIETARY", b"Unauth")
# MBPP's prompts all start with "Write a function" or "Write a python function".
BENCH_NAME = (b"humaneval", b"human_eval", b"mbpp", b"cruxeval", b"write a function to ", b"write a python function to ",
              b"write a function that ", b"write a python function that ")
LEGAL = (b"copyright", b"license", b"licence", b"spdx", b"redistribut", b"warrant", b"all rights reserved", b"(c) 19", b"(c) 20")
CPP_HINT = re.compile(rb"\b(class \w|namespace \w|template ?<|typename |public:|private:|std::|constexpr |virtual )|= delete;|nullptr")


def write_doc(f, lang, project, path, data):
    f.write(f"{lang}\t{project}\t{path}\t{len(data)}\n".encode())
    f.write(data)
    f.write(b"\n")


def iter_docs(f):
    """Yield (lang, project, path, bytes) of a binary file in .docs form."""
    while line := f.readline():
        lang, project, path, n = line.decode().rstrip("\n").split("\t")
        data = f.read(int(n))
        f.read(1)
        yield lang, project, path, data


def read_shard(path):
    """Yield (lang, project, path, bytes) of one packed shard; needs the standard library and pyppmd only."""
    import pyppmd
    with open(path, "rb") as f:
        magic, order, mem, size = struct.unpack("<4sIQQ", f.read(24))
        assert magic == b"DSC1", path
        text = pyppmd.Ppmd7Decoder(order, mem).decode(f.read(), size)
    assert len(text) == size, path
    yield from iter_docs(io.BytesIO(text))


def rank(*names):
    """A seeded, machine-independent order of files."""
    return hashlib.blake2b(b"\0".join([SEED, *(n.encode("utf-8", "replace") for n in names)]), digest_size=8).digest()


FIELDS = "kind name version project licence languages include exclude split".split()


def read_sources(path):
    rows = []
    for line in open(path, encoding="utf-8"):
        if line.startswith("#") or not line.strip():
            continue
        row = dict(zip(FIELDS, line.rstrip("\n").split("\t")))
        for key in ("include", "exclude"):
            row[key] = [] if row[key] == "-" else row[key].split(",")
        rows.append(row)
    return rows


def deb_uris(rows, apt_source, state):
    """(url, file name) of the upstream archives of Debian source packages; signatures and packaging are left out."""
    for d in ("parts", "lists/partial"):
        os.makedirs(os.path.join(state, d), exist_ok=True)
    with open(apt_source) as i, open(os.path.join(state, "parts", "src.sources"), "w") as o:
        o.write(i.read())
    apt = ["apt-get", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={state}/parts",
           "-o", f"Dir::State::lists={state}/lists", "-o", "Dir::Cache::pkgcache=",
           "-o", f"Dir::Cache::srcpkgcache={state}/srcpkgcache.bin"]
    subprocess.run(apt + ["update"], check=True, stdout=subprocess.DEVNULL)
    names = sorted({f"{r['name']}={r['version']}" for r in rows if r["kind"] == "deb"})
    text = subprocess.run(apt + ["source", "--print-uris"] + names, check=True, capture_output=True, text=True).stdout
    found = set(re.findall(r"^'(\S+)' (\S+) ", text, re.M))
    return sorted((u, n) for u, n in found if ".tar." in n and not n.endswith((".asc", ".sig")) and ".debian." not in n)


def fetch_sdist(row, folder, index):
    from unearth import PackageFinder
    finder = PackageFinder(index_urls=[index], no_binary=[":all:"])
    best = finder.find_best_match(f"{row['name']}=={row['version']}").best
    path = os.path.join(folder, best.link.filename)
    if os.path.exists(path):
        return
    with finder.session.stream("GET", best.link.url_without_fragment) as answer, open(path + ".part", "wb") as f:
        for block in answer.iter_bytes(1 << 20):
            f.write(block)
    os.rename(path + ".part", path)


def fetch(args):
    rows = read_sources(args.sources)
    deb, pypi = (os.path.join(args.downloads, kind) for kind in ("deb", "pypi"))
    for folder in (deb, pypi):
        os.makedirs(folder, exist_ok=True)
    config = os.path.join(args.downloads, "curl.cfg")
    with open(config, "w") as f:
        for url, name in deb_uris(rows, args.apt_source, os.path.join(args.downloads, "apt")):
            if not os.path.exists(os.path.join(deb, name)):
                f.write(f'url = "{url}"\noutput = "{os.path.join(deb, name)}"\n')
    subprocess.run(["curl", "-sS", "--fail", "--retry", "2", "--parallel", "--parallel-max", "8", "-K", config])
    with cf.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda r: fetch_sdist(r, pypi, args.index), [r for r in rows if r["kind"] == "pypi"]))


def archives(row, downloads):
    """Archive files of one source: a Debian package may have several upstream tarballs."""
    folder = os.path.join(downloads, row["kind"])
    if row["kind"] == "deb":
        upstream = re.sub(r"^\d+:", "", row["version"])
        bare = upstream.rsplit("-", 1)[0]
        names = [n for n in os.listdir(folder) if n.startswith((f"{row['name']}_{bare}.orig", f"{row['name']}_{upstream}.tar"))]
        return [os.path.join(folder, n) for n in sorted(names) if ".tar." in n]
    # An sdist's file name spells the project with either -, _ or . between its words.
    want = re.sub(r"[-_.]+", "-", f"{row['name']}-{row['version']}").lower()
    return [os.path.join(folder, n) for n in sorted(os.listdir(folder))
            if re.sub(r"[-_.]+", "-", re.sub(r"\.(tar\.\w+|tgz)$", "", n)).lower() == want]


def archive_members(path):
    with tarfile.open(path, "r|*") as t:
        for m in t:
            if m.isreg():
                yield m.name, m.size, lambda m=m: t.extractfile(m).read()


def language_of(path):
    return "build" if path.endswith("/CMakeLists.txt") else EXT.get(os.path.splitext(path)[1].lower())


def path_reason(path, size, row):
    if not 200 <= size <= 200_000:
        return "size"
    if row["include"] and not any(fnmatch.fnmatch(path, g) for g in row["include"]):
        return "not_included"
    if any(fnmatch.fnmatch(path, g) for g in row["exclude"]):
        return "excluded"
    parts = path.lower().split("/")
    # A directory named on purpose in the include list is wanted even if its name is on the general list.
    if not row["include"] and any(p in BAD_DIR for p in parts[:-1]):
        return "bad_dir"
    return "bad_name" if BAD_NAME.search(parts[-1]) else None


def leading_comment(text, lang):
    """End of the comment block that text starts with, 0 when there is none."""
    if lang in ("python", "build"):
        m = re.match(rb"(?:[ \t]*#[^\n]*\n)+", text)
    else:
        m = re.match(rb"/\*.*?\*/[ \t]*\n?|(?:[ \t]*//[^\n]*\n)+|#region[^\n]*[Ll]icen[^\n]*\n.*?#endregion[^\n]*\n", text, re.S)
    return m.end() if m else 0


KEEP_FIRST = re.compile(rb"\A(?:#![^\n]*\n|[ \t]*#[^\n]*coding[:=][^\n]*\n|package [\w.]+;[ \t]*\n|['\"]use strict['\"];?[ \t]*\n|\n)+")


def strip_legal(text, lang):
    """Drop the licence and copyright comments at the head, also behind a shebang, coding, package or strict line."""
    head, m = b"", KEEP_FIRST.match(text)
    if m:
        head, text = m.group().lstrip(b"\n"), text[m.end():]
    for _ in range(6):
        text = text.lstrip(b"\n") if text[:1] == b"\n" else text
        end = leading_comment(text, lang)
        if not end:
            break
        block = text[:end]
        low = block.lower()
        if not any(w in low for w in LEGAL):
            head += block + b"\n"
        text = text[end:]
    return head + text


DIGITS, ALPHA, HIGH = b"0123456789", bytes(range(65, 91)) + bytes(range(97, 123)), bytes(range(128, 256))


def share(data, kind):
    """The part of data's bytes that are of one kind."""
    return 1 - len(data.translate(None, kind)) / len(data)


def clean(data, lang):
    """(text, None) or (None, why it was dropped)."""
    head, low = data[:3000], data[:1500].lower()
    # Plain substring tests first: the expressions are slow and seldom match.
    if any(w in head for w in COPYLEFT_WORDS) and COPYLEFT.search(head):
        return None, "copyleft"
    if (b"generated" in low or b"do not " in low or b"automatically" in low) and GENERATED.search(low):
        return None, "generated"
    if b"\0" in data:
        return None, "binary"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None, "not_utf8"
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = strip_legal(data, lang).strip(b"\n") + b"\n"
    if len(data) < 200:
        return None, "short_after_strip"
    lines = data.split(b"\n")
    if len(data) / len(lines) > 100 and lang != "docs" or max(map(len, lines)) > 1000:
        return None, "minified"
    if share(data, DIGITS) > .2 or share(data, ALPHA) < .4 and share(data, HIGH) < .1 or data.count(b"0x") * 30 > len(data):
        return None, "numeric"
    if share(data, HIGH) > .3:
        return None, "non_ascii"
    if data[:1] == b"<" and lang in ("typescript", "javascript"):
        return None, "markup"
    lower = data.lower()
    return (None, "bench_name") if any(name in lower for name in BENCH_NAME) else (data, None)


def clean_source(job):
    """Clean the rows that share one source into WORK/<project>.docs and an index each; returns counts of drops."""
    import numpy as np
    import xxhash
    rows, downloads, work = job
    stems = [os.path.join(work, r["project"]) for r in rows]
    if all(os.path.exists(s + ".pkl") for s in stems):
        return
    # The few giants would be cut to PROJECT_CAP anyway: read every second file of them only, all in scarce languages.
    giant = sum(map(os.path.getsize, archives(rows[0], downloads))) > 100 * MB
    h, outs = xxhash.xxh3_64_intdigest, [open(s + ".docs", "wb") for s in stems]
    indexes, hashes, drops = [[] for _ in rows], [[] for _ in rows], Counter()

    def one(name, size, read):
        lang = language_of(name)
        if lang is None:
            return None
        path, why = name.removeprefix("./").split("/", 1)[-1].translate({9: 32, 10: 32}), None
        for k, row in enumerate(rows):
            other = row["languages"] != "-" and lang in CODE and lang not in row["languages"].split(",")
            why = "language" if other else path_reason(path, size, row)
            if why is None:
                break
        why = why or ("giant" if giant and lang not in SCARCE and rank("giant", path)[0] & 1 else None)
        if why:
            return why
        data, why = clean(read(), lang)
        if why:
            return why
        if lang == "c" and path.endswith(".h") and CPP_HINT.search(data):
            lang = "cpp"
        found = np.array([h(s) for line in data.split(b"\n") if len(s := line.strip()) >= 16], dtype=np.uint64)
        indexes[k].append((lang, path, outs[k].tell(), len(data), h(b"".join(data.split())), len(found)))
        hashes[k].append(found)
        outs[k].write(data)

    for archive in archives(rows[0], downloads):
        try:
            for member in archive_members(archive):
                drops[one(*member)] += 1
        except (tarfile.TarError, EOFError, OSError) as error:
            drops["archive_error"] += 1
            print("warning:", os.path.basename(archive), error, flush=True)
    del drops[None]
    for k, stem in enumerate(stems):
        outs[k].close()
        lines = np.concatenate(hashes[k]) if hashes[k] else np.zeros(0, np.uint64)
        with open(stem + ".tmp", "wb") as f:
            pickle.dump((indexes[k], lines, drops if k == 0 else Counter()), f, protocol=4)
        os.rename(stem + ".tmp", stem + ".pkl")


def clean_all(rows, args):
    os.makedirs(args.work, exist_ok=True)
    groups = defaultdict(list)
    for row in rows:
        groups[row["kind"], row["name"], row["version"]].append(row)
    size = {key: sum(map(os.path.getsize, archives(g[0], args.downloads))) for key, g in groups.items()}
    jobs = [(groups[key], args.downloads, args.work) for key in sorted(groups, key=size.get, reverse=True)]
    with cf.ProcessPoolExecutor(args.jobs) as pool:
        list(pool.map(clean_source, jobs))


def load_index(rows, work):
    """One record a document: [lang, project, path, offset, nbytes, exact hash, its first line, line count, split]."""
    import numpy as np
    docs, lines, at, drops = [], [], 0, Counter()
    for row in rows:
        with open(os.path.join(work, row["project"] + ".pkl"), "rb") as f:
            index, found, counts = pickle.load(f)
        drops.update(counts)
        for lang, path, offset, n, same, k in index:
            if row["split"] != "heldout" or lang in CODE:
                docs.append([lang, row["project"], path, offset, n, same, at, k, row["split"]])
            at += k
        lines.append(found)
    return docs, np.concatenate(lines), drops


def drop_duplicates(docs, lines):
    """Positions of the documents that stay: exact copies first, then the 70 % line rule of the module comment."""
    import numpy as np
    keep = sorted({d[5]: i for i, d in reversed(list(enumerate(docs)))}.values())
    exact = len(docs) - len(keep)
    owner = np.repeat(np.arange(len(keep), dtype=np.int32), [docs[i][7] for i in keep])
    values = np.concatenate([lines[docs[i][6]:docs[i][6] + docs[i][7]] for i in keep])
    order = np.argsort(values, kind="stable")
    ranked, owners = values[order], owner[order]
    starts = np.r_[True, ranked[1:] != ranked[:-1]]
    first = owners[starts][np.cumsum(starts) - 1]
    old = np.zeros(len(values), bool)
    old[order] = owners > first
    total = np.bincount(owner, minlength=len(keep))
    repeated = np.bincount(owner, weights=old, minlength=len(keep))
    good = ~((total >= 3) & (repeated > .7 * total))
    kept = [i for i, ok in zip(keep, good) if ok]
    return kept, {"exact_duplicate": exact, "near_duplicate": len(keep) - len(kept)}


def allowance(size, factor):
    """A project's share grows with the root of its size: big, well-kept projects count for more but crowd nobody out."""
    return min(size, factor * size ** .5, PROJECT_CAP)


def level(sizes, target):
    """The factor under which the allowances of one language's projects add up to target."""
    low, high = 0., 1e5
    for _ in range(60):
        mid = (low + high) / 2
        low, high = (mid, high) if sum(allowance(s, mid) for s in sizes) <= target else (low, mid)
    return low


def cap(docs, target_of):
    """Whole files in seeded order until each language is at its target and no project is over its allowance or PROJECT_CAP."""
    groups, whole, out = defaultdict(lambda: defaultdict(list)), Counter(), []
    for d in sorted(docs, key=lambda d: rank(d[1], d[2])):
        groups[d[0]][d[1]].append(d)
        whole[d[1]] += d[4]
    for lang, projects in sorted(groups.items()):
        sizes = {p: sum(d[4] for d in group) for p, group in projects.items()}
        factor = level(list(sizes.values()), target_of(lang))
        for p, group in sorted(projects.items()):
            # A project of several languages has its cap divided by what it holds of each.
            left = min(allowance(sizes[p], factor), PROJECT_CAP * sizes[p] / whole[p])
            for d in group:
                if d[4] <= left:
                    left -= d[4]
                    out.append(d)
    return out


WORD, GRAM, RARE = re.compile(rb"\w+"), 10, 10


def bench_texts(folder):
    """Prompts and solutions in HumanEval's form: .jsonl or .jsonl.gz, also inside wheels."""
    import gzip
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        blobs = [open(path, "rb").read()] if ".jsonl" in name else []
        if name.endswith(".whl"):
            with zipfile.ZipFile(path) as z:
                blobs = [z.read(n) for n in z.namelist() if ".jsonl" in n]
        for blob in blobs:
            for line in (gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob).splitlines():
                row = json.loads(line)
                yield from (row[k].encode() for k in ("prompt", "canonical_solution", "code", "text") if isinstance(row.get(k), str))


def bench_grams(folder):
    ids, grams = {}, set()
    for text in bench_texts(folder):
        words = WORD.findall(text)
        for w in words:
            ids.setdefault(w, len(ids) + 1)
        for i in range(len(words) - GRAM + 1):
            gram = words[i:i + GRAM]
            # Rows of numbers or single letters are no evidence of a copy.
            if sum(len(w) > 2 and not w.isdigit() for w in gram) >= 5:
                grams.add(tuple(ids[w] for w in gram))
    return ids, grams


def shared_grams(data, ids, grams):
    import numpy as np
    code = np.array([ids.get(w, 0) for w in WORD.findall(data)], dtype=np.int32)
    if len(code) < GRAM:
        return set()
    inside = np.cumsum(np.r_[0, code != 0])
    starts = np.flatnonzero(inside[GRAM:] - inside[:-GRAM] == GRAM)
    return {g for s in starts for g in [tuple(code[s:s + GRAM].tolist())] if g in grams}


# For a BENCH without MBPP, which neither registry has: function names that only its solutions use.
MBPP_NAMES = [f"def {n}(".encode() for n in """similar_elements is_not_prime heap_queue_largest differ_at_one_bit_pos remove_occ
    find_rotations sort_matrix find_volume split_lowerstring text_lowercase_underscore square_perimeter remove_dirty_chars
    test_duplicate is_woodall multiples_of_num find_first_duplicate maximum_sum find_char_long smallest_num subject_marks
    recursive_list_sum odd_days volume_sphere text_match_wordz get_ludic lower_ctr cube_sum is_octagonal closest_num
    is_nonagonal split_upperstring count_hexagonal is_undulating newman_prime sum_range_list dog_age woodball_num""".split()]


def contaminated_part(job):
    docs, work, folder = job
    (ids, grams), hits = bench_grams(folder), {}
    for i, data in read_texts(docs, work):
        low = data.lower() if b"def " in data else b""
        hits[i] = shared_grams(data, ids, grams) | {(n.decode(),) for n in MBPP_NAMES if n in low}
    return {i: found for i, found in hits.items() if found}


def read_texts(docs, work):
    """Yield (position, bytes) of documents, opening each project's file once; docs are (position, project, offset, nbytes)."""
    last, f = None, None
    for i, project, offset, n in sorted(docs, key=lambda d: (d[1], d[2])):
        if project != last:
            f = open(os.path.join(work, project + ".docs"), "rb")
            last = project
        f.seek(offset)
        yield i, f.read(n)


def contaminated(docs, args):
    """Documents that share a 10-gram of words with a benchmark; grams found in more than RARE documents are common code."""
    slim = [(i, d[1], d[3], d[4]) for i, d in enumerate(docs)]
    parts = [slim[k::args.jobs] for k in range(args.jobs)]
    hits = {}
    with cf.ProcessPoolExecutor(args.jobs) as pool:
        for found in pool.map(contaminated_part, [(p, args.work, args.bench) for p in parts]):
            hits.update(found)
    seen = Counter(g for found in hits.values() for g in found)
    return {i for i, found in hits.items() if any(seen[g] <= RARE for g in found)}, {
        "bench_grams": len(bench_grams(args.bench)[1]), "documents_with_a_shared_gram": len(hits)}


def bench_part(job):
    path, folder, part, parts = job
    ids, grams = bench_grams(folder)
    words = {i: word.decode() for word, i in ids.items()}
    with open(path, "rb") as f:
        mine = (doc for i, doc in enumerate(iter_docs(f)) if i % parts == part)
        shared = ((project, name, shared_grams(data, ids, grams)) for _, project, name, data in mine)
        return [(project, name, [" ".join(words[i] for i in gram) for gram in found]) for project, name, found in shared if found]


def bench(args):
    """Prints each document of train.docs that shares a 10-gram of words with a benchmark, and the grams."""
    jobs = [(os.path.join(args.out, "train.docs"), args.bench, part, args.jobs) for part in range(args.jobs)]
    with cf.ProcessPoolExecutor(args.jobs) as pool:
        found = sorted(row for rows in pool.map(bench_part, jobs) for row in rows)
    for project, name, grams in found:
        print(f"{project}/{name}: {len(grams)}, {' | '.join(sorted(grams)[:3])}")
    print(f"{len(bench_grams(args.bench)[1])} grams of the benchmarks, {len(found)} documents share one or more")


def take_valid(docs):
    """About VALID_BYTES of whole files in seeded order, spread over languages as the training text is."""
    left, valid, train = {lang: part * VALID_BYTES for lang, part in SHARE.items()}, [], []
    for d in sorted(docs, key=lambda d: rank("valid", d[1], d[2])):
        fits = d[4] <= left[d[0]]
        left[d[0]] -= fits * d[4]
        (valid if fits else train).append(d)
    return valid, train


def write_set(path, docs, work):
    """Write docs in the given order, holding all text in memory once."""
    texts = dict(read_texts([(i, d[1], d[3], d[4]) for i, d in enumerate(docs)], work))
    with open(path, "wb") as f:
        for i, d in enumerate(docs):
            write_doc(f, d[0], d[1], d[2], texts.pop(i))


def tally(docs, key):
    out = defaultdict(lambda: {"files": 0, "bytes": 0})
    for d in docs:
        out[key(d)] = {"files": out[key(d)]["files"] + 1, "bytes": out[key(d)]["bytes"] + d[4]}
    return dict(sorted(out.items(), key=lambda kv: -kv[1]["bytes"]))


def build(args):
    rows = read_sources(args.sources)
    rows.sort(key=lambda r: r["split"] != "heldout")
    clean_all(rows, args)
    docs, lines, drops = load_index(rows, args.work)
    kept, counts = drop_duplicates(docs, lines)
    drops.update(counts)
    docs = [docs[i] for i in kept]
    del lines
    held = cap([d for d in docs if d[8] == "heldout"], lambda lang: HELDOUT_CAP)
    train = cap([d for d in docs if d[8] == "train"], lambda lang: SHARE[lang] * TOTAL)
    bad, shared = contaminated(train, args)
    drops["contaminated"] = len(bad)
    train = [d for i, d in enumerate(train) if i not in bad]
    valid, train = take_valid(train)
    train.sort(key=lambda d: rank("shuffle", d[1], d[2]))
    os.makedirs(os.path.join(args.out, "heldout"), exist_ok=True)
    write_set(os.path.join(args.out, "train.docs"), train, args.work)
    write_set(os.path.join(args.out, "valid.docs"), valid, args.work)
    for lang in CODE:
        write_set(os.path.join(args.out, "heldout", lang + ".docs"), [d for d in held if d[0] == lang], args.work)
    licence = {r["project"]: r["licence"] for r in rows}
    stats = {"train_bytes": sum(d[4] for d in train), "train_files": len(train), "valid_bytes": sum(d[4] for d in valid),
             "dropped": dict(drops), "bench": shared,
             "train_by_language": tally(train, lambda d: d[0]), "train_by_project": tally(train, lambda d: d[1]),
             "train_by_licence": tally(train, lambda d: licence[d[1]]),
             "heldout": tally(held, lambda d: f"{d[0]}/{d[1]}"), "available_by_language": tally(docs, lambda d: d[0])}
    with open(os.path.join(args.out, "stats.json"), "w") as f:
        json.dump(stats, f, indent=1)
    print(json.dumps({k: v for k, v in stats.items() if k not in ("train_by_project", "train_by_licence")}, indent=1))


def split_shards(path, count):
    """Documents grouped by language and project, where PPM finds the most to predict from, cut into equal runs."""
    with open(path, "rb") as f:
        docs = sorted(iter_docs(f), key=lambda d: (d[0], d[1], d[2]))
    goal, parts, size = sum(len(d[3]) for d in docs) / count, [[]], 0
    for d in docs:
        if size >= goal * len(parts) and len(parts) < count:
            parts.append([])
        parts[-1].append(d)
        size += len(d[3])
    return parts


def compressed(text, path, order, mem):
    """(order, PPMd7 stream), of the given order or the next lower one that decodes: pyppmd 1.3.1 writes streams that it
    cannot read for a few texts, with one order and not with another."""
    import pyppmd
    for lower in range(order, 3, -1):
        encoder = pyppmd.Ppmd7Encoder(lower, mem)
        stream = encoder.encode(text) + encoder.flush()
        if pyppmd.Ppmd7Decoder(lower, mem).decode(stream, len(text)) == text:
            return lower, stream
    raise RuntimeError(f"{path}: {len(text)} bytes do not decode to what was packed, with no order of {order} to 4")


def pack_one(job):
    """One shard: magic, order, memory, text size, PPMd7 (variant H) stream."""
    docs, path, order, mem = job
    buffer = io.BytesIO()
    for d in docs:
        write_doc(buffer, *d)
    text = buffer.getvalue()
    order, stream = compressed(text, path, order, mem)
    with open(path, "wb") as f:
        f.write(struct.pack("<4sIQQ", b"DSC1", order, mem, len(text)) + stream)
    return {"file": os.path.basename(path), "documents": len(docs), "text_bytes": len(text), "bytes": 24 + len(stream),
            "sha256": hashlib.sha256(open(path, "rb").read()).hexdigest()}


def pack(args):
    train = split_shards(os.path.join(args.out, "train.docs"), args.shards)
    jobs = [(docs, os.path.join(args.out, f"train-{i:03}.ppmd"), args.order, args.memory << 20) for i, docs in enumerate(train)]
    with open(os.path.join(args.out, "valid.docs"), "rb") as f:
        jobs.append((list(iter_docs(f)), os.path.join(args.out, "valid.ppmd"), args.order, 64 << 20))
    with cf.ProcessPoolExecutor(args.jobs) as pool:
        shards = list(pool.map(pack_one, jobs))
    with open(os.path.join(args.out, "manifest.json"), "w") as f:
        json.dump({"shards": shards, "bytes": sum(s["bytes"] for s in shards)}, f, indent=1)
    print(json.dumps(shards, indent=1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("stage", choices=["fetch", "build", "bench", "pack"])
    for name in ("sources", "apt-source", "index", "downloads", "bench", "work", "out"):
        p.add_argument("--" + name)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--shards", type=int, default=12)
    p.add_argument("--order", type=int, default=10)
    p.add_argument("--memory", type=int, default=384, help="PPMd model memory of one shard, MiB")
    args = p.parse_args()
    {"fetch": fetch, "build": build, "bench": bench, "pack": pack}[args.stage](args)


if __name__ == "__main__":
    main()
