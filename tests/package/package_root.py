"""A clean Debian in a folder, and what is in it."""

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

# What the package depends on, and no more.
_WITH: Final = "python3,systemd,passwd,ca-certificates"
_SOURCES: Final = Path("/etc/apt")
# What dpkg and the programs that keep users leave of any package.
_OTHERS: Final = (
    "proc/",
    "var/lib/dpkg/",
    "var/log/",
    "var/cache/",
    "run/stand-in/",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
)


class PackageError(Exception):
    """Something is not as it has to be; the text says what."""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program; return what it wrote.

    Raises:
        PackageError: it ended with another code than 0.
    """
    done = subprocess.run(  # noqa: S603 - programs of the distribution's and our own
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise PackageError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def archive(cache: Path) -> Path:
    """Return a clean Debian as an archive, of the release and from the sources of this machine."""
    made = cache / f"root-{_WITH.replace(',', '-')}.tar"
    if made.exists():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    options = cache / "apt.conf"
    options.write_text(run("apt-config", "dump", "Acquire"))
    sources = [
        *_SOURCES.glob("sources.list"),
        *_SOURCES.glob("sources.list.d/*.list"),
        *_SOURCES.glob("sources.list.d/*.sources"),
    ]
    release = run("sh", "-c", '. /etc/os-release; echo "$VERSION_CODENAME"').strip()
    new = cache / "root.new.tar"
    run(
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={_WITH}",
        f"--aptopt={options}",
        release,
        new,
        *sorted(one for one in sources if one.stat().st_size),
    )
    new.rename(made)
    return made


class Root:
    """A clean Debian, unpacked."""

    def __init__(self, folder: Path, cache: Path) -> None:
        """Unpack it into a folder that isn't there yet."""
        self.folder = folder
        folder.mkdir()
        run("tar", "--extract", "--file", archive(cache), "--directory", folder)
        # systemd-tmpfiles asks it about each file.
        run("mount", "--bind", "/proc", folder / "proc")

    def close(self) -> None:
        """Let go of what is not its own."""
        run("umount", self.folder / "proc")

    def path(self, inside: str) -> Path:
        """Return where a path of its own is on this machine."""
        return self.folder / inside.lstrip("/")

    def run(self, *command: str) -> str:
        """Run a program in it, as root.

        Raises:
            PackageError: it ended with another code than 0.
        """
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return run(
            "env", "-i", path, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
            shutil.which("chroot") or "chroot", self.folder, *command,
        )  # fmt: skip

    def put(self, package: Path) -> str:
        """Install a package, or upgrade to it; return what dpkg wrote."""
        inside = self.path("run/stand-in") / package.name
        shutil.copyfile(package, inside)
        return self.run("dpkg", "--install", f"/run/stand-in/{package.name}")

    def user(self, name: str) -> tuple[int, int]:
        """Return a user's number, and that of its group."""
        for line in self.path("etc/passwd").read_text().splitlines():
            fields = line.split(":")
            if fields[0] == name:
                return int(fields[2]), int(fields[3])
        raise PackageError(f"there is no user {name}")

    def contents(self) -> dict[str, str]:
        """Return all that is in it, by path: kind, owner, rights, and what a file holds."""
        found = {}
        for folder, folders, files in os.walk(self.folder):
            folders[:] = [one for one in folders if Path(folder, one) != self.path("proc")]
            for name in (*folders, *files):
                path = Path(folder) / name
                inside = str(path.relative_to(self.folder))
                if not f"{inside}/".startswith(_OTHERS) and not inside.startswith(_OTHERS):
                    found[inside] = _described(path)
        return found


def _described(path: Path) -> str:
    status = path.lstat()
    held = ""
    if stat.S_ISREG(status.st_mode):
        held = hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        held = str(path.readlink())
    return f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid} {held}"


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a line for each path that is not as it was.

    /opt itself doesn't count: no package owns it, so dpkg takes it away once it is empty.
    """
    return [
        f"{path}: {before.get(path, 'nothing')} -> {after.get(path, 'nothing')}"
        for path in sorted(before.keys() | after.keys())
        if path != "opt" and before.get(path) != after.get(path)
    ]
