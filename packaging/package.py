"""Makes what driftgauge is installed from: a wheel, a tarball laid out for /usr/local, and the root of a slim image.

    python packaging/package.py wheel   --from TARGET/debug --to dist
    python packaging/package.py tarball --from TARGET/debug --to dist
    python packaging/package.py root    --from TARGET/debug --to DIR

`--from` is a folder with the program and its plugins, as `cargo build -p driftgauge` leaves it. Nothing but the standard library is
needed; `strip`, of the C compiler that the build needs, takes the symbols away where it is there. Every archive is the same to the byte for
the same files (`SOURCE_DATE_EPOCH` is the date inside). The wheel is tagged by the newest version of the C library that a file of it asks
for, and refused when a file asks for a library that PEP 600 does not let a manylinux wheel expect.
"""

import argparse
import base64
import gzip
import hashlib
import io
import os
import platform
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
PLUGINS = ["asr", "drift", "truthfulness", "uncertainty"]
# What PEP 600 lets a wheel find on every system, as far as Rust programs ask for it.
EXPECTED = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1704067200"))
MACHINE = platform.machine()


def version() -> str:
    return tomllib.loads((HERE / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def dynamic(path: Path) -> tuple[set[str], tuple[int, int]]:
    """The libraries that an ELF file asks for, and the newest version of glibc's symbols among them."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        sys.exit(f"{path}: no 64-bit little-endian ELF file")
    (offset,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, offset + size * index) for index in range(count)]

    def text(table: int, at: int) -> str:
        start = sections[table][4] + at
        return data[start : data.index(b"\0", start)].decode()

    needed, newest = set(), (0, 0)
    for _, kind, _, _, start, length, link, info, _, _ in sections:
        if kind == 6:  # SHT_DYNAMIC: DT_NEEDED is 1
            for at in range(start, start + length, 16):
                tag, value = struct.unpack_from("<qQ", data, at)
                if tag == 1:
                    needed.add(text(link, value))
        if kind == 0x6FFFFFFE:  # SHT_GNU_verneed
            at = start
            for _ in range(info):
                _, names, _, first, following = struct.unpack_from("<HHIII", data, at)
                name = at + first
                for _ in range(names):
                    _, _, _, word, step = struct.unpack_from("<IHHII", data, name)
                    label = text(link, word)
                    if label.startswith("GLIBC_2."):
                        newest = max(newest, tuple(int(part) for part in label[6:].split(".")[:2]))
                    name += step
                at += following
    return needed, newest


def run(program: Path, *words: str) -> str:
    return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout


def prefix(source: Path, place: Path) -> list[Path]:
    """Lays out `bin`, `lib` and `share` in a folder; gives the native files."""
    program, plugins = place / "bin/driftgauge", place / "lib/driftgauge/plugins"
    program.parent.mkdir(parents=True)
    plugins.mkdir(parents=True)
    native = [program]
    shutil.copyfile(source / "driftgauge", program)
    for name in PLUGINS:
        built = source / "deps" / f"lib{name}.so"
        shutil.copyfile(built if built.exists() else source / f"lib{name}.so", plugins / f"lib{name}.so")
        native.append(plugins / f"lib{name}.so")
    for path in native:
        path.chmod(0o755)
        if shutil.which("strip"):
            subprocess.run(["strip", "--strip-all" if path == program else "--strip-unneeded", path], check=True)
    run(program, "man", "--to", str(place / "share/man/man1"))
    for shell, where in [("bash", "bash-completion/completions/driftgauge"), ("zsh", "zsh/site-functions/_driftgauge"),
                         ("fish", "fish/vendor_completions.d/driftgauge.fish")]:
        file = place / "share" / where
        file.parent.mkdir(parents=True)
        file.write_text(run(program, "completions", shell))
    doc = place / "share/doc/driftgauge"
    doc.mkdir(parents=True)
    for name in ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT", "CHANGELOG.md", "CITATION.cff"]:
        shutil.copyfile(HERE / name, doc / name)
    # The demo and its data, so that the first command needs no clone.
    shutil.copytree(HERE / "specs", place / "share/driftgauge/specs", ignore=shutil.ignore_patterns("schema"))
    return native


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def wheel(source: Path, to: Path) -> Path:
    number = version()
    with tempfile.TemporaryDirectory() as place:
        place = Path(place) / "prefix"
        native = prefix(source, place)
        glibc = (2, 17)
        for path in native:
            needed, newest = dynamic(path)
            if needed - EXPECTED:
                sys.exit(f"{path.name} asks for {', '.join(sorted(needed - EXPECTED))}, which no wheel may expect")
            glibc = max(glibc, newest)
        tag = f"py3-none-manylinux_{glibc[0]}_{glibc[1]}_{MACHINE}"
        content: list[tuple[str, bytes, int]] = [("driftgauge.py", (HERE / "python/driftgauge.py").read_bytes(), 0o644)]
        for path in files(place):
            name = path.relative_to(place).as_posix()
            where = "scripts/driftgauge" if name == "bin/driftgauge" else f"data/{name}"
            content.append((f"driftgauge-{number}.data/{where}", path.read_bytes(), path.stat().st_mode & 0o777))
    info = f"driftgauge-{number}.dist-info"
    metadata = f"""Metadata-Version: 2.4
Name: driftgauge
Version: {number}
Summary: Measures what fine-tuning did to a language model's safety, certainty and truthfulness.
License-Expression: MIT OR Apache-2.0
License-File: LICENSE-APACHE
License-File: LICENSE-MIT
Requires-Python: >=3.9
Provides-Extra: frames
Requires-Dist: pandas>=2; extra == "frames"
Requires-Dist: pyarrow>=14; extra == "frames"
Description-Content-Type: text/markdown

The program `driftgauge` with its metric plugins; `import driftgauge` reads run folders into data frames (extra `frames`).
"""
    content.append((f"{info}/METADATA", metadata.encode(), 0o644))
    content.append((f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: driftgauge packaging\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(), 0o644))
    for name in ["LICENSE-APACHE", "LICENSE-MIT"]:
        content.append((f"{info}/licenses/{name}", (HERE / name).read_bytes(), 0o644))

    def digest(data: bytes) -> str:
        return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()

    record = "".join(f"{name},{digest(data)},{len(data)}\n" for name, data, _ in content) + f"{info}/RECORD,,\n"
    content.append((f"{info}/RECORD", record.encode(), 0o644))
    to.mkdir(parents=True, exist_ok=True)
    path = to / f"driftgauge-{number}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, data, mode in content:
            entry = zipfile.ZipInfo(name, time.gmtime(max(EPOCH, 315532800))[:6])
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path


def tarball(source: Path, to: Path) -> Path:
    name = f"driftgauge-{version()}-{MACHINE}-linux"
    to.mkdir(parents=True, exist_ok=True)
    path = to / f"{name}.tar.gz"
    with tempfile.TemporaryDirectory() as place:
        place = Path(place) / name
        prefix(source, place)
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for file in files(place):
                entry = archive.gettarinfo(file, f"{name}/{file.relative_to(place).as_posix()}")
                entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = EPOCH, 0, 0, "root", "root"
                with file.open("rb") as data:
                    archive.addfile(entry, data)


    with path.open("wb") as out, gzip.GzipFile("", "wb", 6, out, EPOCH) as packed:
        packed.write(raw.getbuffer())
    return path


def root(source: Path, to: Path) -> Path:
    """What an image holds: the prefix, the C library of this system, a place for temporary files, and nothing else."""
    if to.exists() and any(to.iterdir()):
        sys.exit(f"{to} is not empty")
    to.mkdir(parents=True, exist_ok=True)
    native = prefix(source, to / "usr/local")
    wanted = {line.split()[2] if "=>" in line else line.split()[0]
              for path in native for line in run(Path(shutil.which("ldd") or "ldd"), str(path)).splitlines() if "/" in line}
    for library in sorted(wanted):
        where = to / library.lstrip("/")
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(library).resolve(), where)
    for folder, mode in [("tmp", 0o1777), ("data", 0o755), ("proc", 0o755), ("dev", 0o755), ("etc", 0o755)]:
        (to / folder).mkdir(exist_ok=True)
        (to / folder).chmod(mode)
    (to / "etc/passwd").write_text("root:x:0:0:root:/data:/\n")
    return to


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=["wheel", "tarball", "root"])
    words.add_argument("--from", dest="source", type=Path, required=True, help="folder with the program and its plugins")
    words.add_argument("--to", type=Path, required=True)
    asked = words.parse_args()
    made = {"wheel": wheel, "tarball": tarball, "root": root}[asked.what](asked.source, asked.to)
    print(made)


if __name__ == "__main__":
    main()
