"""Contents on their way: small ones in memory, large ones as `.towline/stage/DIGEST.part`.

A part is found again after a restart, so that a transfer goes on where it was. What is complete is
verified by its digest; nothing else is ever handed out. Knows nothing of where contents belong.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field

from towline.core.delta import Stretch
from towline.core.digest import BLOCK, DIGEST_SIZE, Hasher, Signature, digest_of
from towline.disk.folder import STAGE, Folder
from towline.disk.look import PIECE
from towline.disk.own import ensure_own_directory
from towline.disk.signatures import LARGE, Known, Signatures

MEMORY_ITEM_MAX = 64 << 10  # Bytes; larger contents go to the disk, where they survive a restart.
MEMORY_MAX = 32 << 20  # Bytes of small contents held at once.
TOTAL_MAX = 64 << 30  # Bytes of all; a caller that knows the disk gives a better limit.
PARTS_MAX = 4096  # Files; bounds the listing of a stage.
SIZE_MAX = 1 << 50  # Bytes of one content; a peer that claims more is not to be believed.
AGE_MAX_S = 7 * 24 * 3600  # A transfer not taken up for a week will not be.

_PART = ".part"


@dataclass(slots=True)
class _Part:
    """A content on the disk. `hasher` has seen the first bytes of it, at most all."""

    held: int
    hasher: Hasher = field(default_factory=Hasher)
    is_whole: bool = False

    def cut(self, size: int) -> _Part:
        """Return what of it is left: whole blocks, which `hasher` has seen."""
        return _Part(size, Hasher(self.hasher.leaves()[: size // BLOCK * DIGEST_SIZE]))


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes of an open file. `signature`: that of the file, as long as its stamp is this one."""

    descriptor: int
    offset: int
    size: int
    signature: Signature | None = None

    def leaves(self, part: _Part) -> bytes | None:
        """Return the digests of these bytes' blocks, if they are whole blocks in both files."""
        whole = self.signature
        end = self.offset + self.size
        if whole is None or part.hasher.size != part.held or part.held % BLOCK:
            return None
        if self.offset % BLOCK or (end % BLOCK and end != whole.size):
            return None
        first, last = self.offset // BLOCK, -(-end // BLOCK)
        return whole.leaves[first * DIGEST_SIZE : last * DIGEST_SIZE]


class Stage:
    """The contents held for one folder."""

    def __init__(
        self,
        folder: Folder,
        now_ns: Callable[[], int],
        total_max: int = TOTAL_MAX,
        signatures: Signatures | None = None,
    ) -> None:
        self._folder = folder
        self._signatures = signatures or Signatures()
        self._total_max = total_max
        self._memory: dict[bytes, bytearray] = {}
        self._memory_held = 0
        self._trouble: dict[bytes, OSError] = {}
        self._parts: dict[bytes, _Part] = {}
        self._find_parts(now_ns() - AGE_MAX_S * 1_000_000_000)

    def ensure_directory(self) -> None:
        self._folder.lstat_root()  # Raises if it is gone.
        with suppress(OSError):
            if self._folder.hold_stage():
                return
        ensure_own_directory(self._folder.root)
        with suppress(FileExistsError):
            self._folder.mkdir(STAGE, 0o700)
        self._folder.hold_stage()

    def held(self, digest: bytes) -> int:
        """Return how many bytes of this content are here, from its start."""
        if digest in self._memory:
            return len(self._memory[digest])
        return self._parts[digest].held if digest in self._parts else 0

    def partials(self) -> dict[bytes, int]:
        """Return the bytes held of each content on the disk."""
        return {digest: part.held for digest, part in self._parts.items()}

    def write(self, digest: bytes, offset: int, content: bytes, size: int) -> bool:
        """Add bytes at `offset` of a content of `size` bytes; True once it is whole and verified.

        What is here already is skipped. A content that is whole but has another digest is dropped.
        If the disk or the stage is full, so is this one, to free what it took; `trouble` tells the
        change that needs it. Raises ValueError for bytes that cannot be part of it.
        """
        if offset == 0:
            self._trouble.pop(digest, None)
        elif digest in self._trouble:
            return False
        if self.held(digest) > size:  # Not the same content, whatever its name.
            self.discard(digest)
        held = self.held(digest)
        _check(digest, offset, len(content), size, held)
        new = content[held - offset :]
        try:
            if self.is_whole(digest, size):
                return True
            self._add(digest, new, size)
            return held + len(new) == size and self._verify(digest)
        except OSError as error:
            self._note_trouble(digest, error)
            return False

    def copy(self, digest: bytes, offset: int, size: int, source: Source) -> bool:
        """Add bytes at `offset` of a content of `size` bytes, from a file that is here.

        False if they cannot be kept, or do not go on where the content stops: then it is to be
        sent again, from its start. Raises ValueError as `write` does.
        """
        if digest in self._memory or self.held(digest) != offset:
            return False
        _check(digest, offset, source.size, size, offset)
        try:
            self._ensure_room(source.size)
            self._copy_part(digest, source)
        except OSError as error:
            self._note_trouble(digest, error)
            return False
        return True

    def copy_staged(self, digest: bytes, size: int, other: bytes, stretch: Stretch) -> bool:
        """Add a stretch of another content that is staged; as `copy`."""
        start = stretch.source or 0
        if other not in self._parts or start + stretch.size > self._parts[other].held:
            return False
        try:
            descriptor = self.open_part(other)
        except OSError:
            return False
        try:
            source = Source(descriptor, start, stretch.size)
            return self.copy(digest, stretch.offset, size, source)
        finally:
            self._folder.close_file(descriptor)

    def rename(self, draft: bytes, digest: bytes, keep: int) -> None:
        """Let the first `keep` bytes, whole blocks or all, of one content be the start of another.

        Nothing is done if there are fewer, or if the other has as many. The first is gone after.
        """
        part = self._parts.get(draft)
        if part is None or draft == digest or not 0 < keep <= part.held:
            return self.discard(draft)
        if keep % BLOCK and keep < part.held:
            return self.discard(draft)
        if self.held(digest) >= keep or part.hasher.size < keep:
            return self.discard(draft)
        self.discard(digest)
        try:
            self._truncate(_name(draft), keep)
            self._folder.place(_name(draft), _name(digest))
        except OSError:
            return self.discard(draft)
        del self._parts[draft]
        self._parts[digest] = part if keep == part.held else part.cut(keep)
        self._trouble.pop(digest, None)  # It has a start again, from which it goes on.
        return None

    def trouble(self, digest: bytes) -> OSError | None:
        """Return why this content could not be kept, until it is sent again from its start."""
        return self._trouble.get(digest)

    def is_whole(self, digest: bytes, size: int) -> bool:
        """Whether all of this content is here and verified."""
        is_here = digest in self._memory or digest in self._parts
        return is_here and self.held(digest) == size and self._verify(digest)

    def content(self, digest: bytes) -> bytes | None:
        """Return a whole content held in memory."""
        found = self._memory.get(digest)
        return bytes(found) if found is not None and digest_of(found) == digest else None

    def has_part(self, digest: bytes, size: int) -> bool:
        """Whether a whole content is here as a file; see `open_part` and `take_part`."""
        return digest in self._parts and self.is_whole(digest, size)

    def open_part(self, digest: bytes) -> int:
        """Return a whole content opened for reading."""
        return self._folder.open(_name(digest))

    def take_part(self, digest: bytes, name: str) -> None:
        """Give a whole content away as the file `name`; it is no longer here."""
        self._folder.place(_name(digest), name)
        del self._parts[digest]

    def give_back(self, digest: bytes, name: str, size: int) -> None:
        """Take a whole, unchanged file back as a content."""
        self._folder.place(name, _name(digest))
        self._parts[digest] = _Part(size, is_whole=True)

    def catch_up_steps(self, digest: bytes) -> Generator[None, None, None]:
        """Read, a bit at a time, what an earlier life left of a content, to know it at the end."""
        part = self._parts.get(digest)
        while part is not None and part.hasher.size < part.held:
            try:
                self._hash_on(digest, part)
            except OSError:
                return
            yield
            part = self._parts.get(digest)

    def discard(self, digest: bytes) -> None:
        """Drop a content. It need not be here, and a file that resists is left to a later life."""
        self._memory_held -= len(self._memory.pop(digest, b""))
        if self._parts.pop(digest, None) is not None:
            with suppress(OSError):
                self._unlink(_name(digest))

    def _find_parts(self, oldest_ns: int) -> None:
        try:
            found = self._folder.scan_directory(STAGE)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name, status in found:
            digest = _digest_in(name)
            if digest is None or not stat.S_ISREG(status.st_mode):
                continue
            if status.st_mtime_ns < oldest_ns or len(self._parts) >= PARTS_MAX:
                self._unlink(f"{STAGE}/{name}")
            else:
                self._parts[digest] = _Part(status.st_size)

    def _add(self, digest: bytes, content: bytes, size: int) -> None:
        self._ensure_room(len(content))
        if self._fits_memory(digest, size):
            self._memory.setdefault(digest, bytearray()).extend(content)
            self._memory_held += len(content)
        else:
            self._write_part(digest, content)

    def _ensure_room(self, size: int) -> None:
        if self._total() + size > self._total_max:
            raise OSError(errno.EDQUOT, f"more than {self._total_max} bytes on their way")

    def _note_trouble(self, digest: bytes, error: OSError) -> None:
        self._trouble[digest] = error
        if len(self._trouble) > PARTS_MAX:
            del self._trouble[next(iter(self._trouble))]
        self.discard(digest)

    def _total(self) -> int:
        return self._memory_held + sum(part.held for part in self._parts.values())

    def _fits_memory(self, digest: bytes, size: int) -> bool:
        if digest in self._parts or size > MEMORY_ITEM_MAX:
            return False
        return digest in self._memory or self._memory_held + size <= MEMORY_MAX

    def _write_part(self, digest: bytes, content: bytes) -> None:
        descriptor = self._open_part_to_write(digest)
        try:
            part = self._parts[digest]
            self._folder.seek(descriptor, part.held)
            self._append(descriptor, part, content)
        finally:
            self._folder.close_file(descriptor)

    def _append(self, descriptor: int, part: _Part, content: bytes) -> None:
        left = memoryview(content)
        while left:
            written = self._folder.write(descriptor, left)
            if part.hasher.size == part.held:
                part.hasher.update(left[:written])
            part.held += written
            left = left[written:]

    def _copy_part(self, digest: bytes, source: Source) -> None:
        descriptor = self._open_part_to_write(digest)
        try:
            part = self._parts[digest]
            self._folder.seek(descriptor, part.held)
            self._folder.seek(source.descriptor, source.offset)
            leaves = source.leaves(part)
            if leaves is None:
                self._append_read(descriptor, part, source)
            else:
                self._append_copied(descriptor, part, source, leaves)
        finally:
            self._folder.close_file(descriptor)

    def _append_read(self, descriptor: int, part: _Part, source: Source) -> None:
        left = source.size
        while left:
            piece = self._folder.read(source.descriptor, min(PIECE, left))
            if not piece:
                raise OSError(errno.EIO, "a file became shorter while it was copied")
            self._append(descriptor, part, piece)
            left -= len(piece)

    def _append_copied(self, descriptor: int, part: _Part, source: Source, leaves: bytes) -> None:
        """Copy without reading: the digests of the blocks copied are known."""
        left = source.size
        while left:
            copied = self._folder.copy(source.descriptor, descriptor, left)
            if not copied:
                raise OSError(errno.EIO, "a file became shorter while it was copied")
            part.held += copied
            left -= copied
        part.hasher.skip(leaves, source.size)

    def _open_part_to_write(self, digest: bytes) -> int:
        if digest in self._parts:
            return self._folder.open_for_writing(_name(digest))
        if len(self._parts) >= PARTS_MAX:
            raise OSError(errno.EDQUOT, f"more than {PARTS_MAX} large contents on their way")
        self.ensure_directory()
        self._unlink(_name(digest))  # One that was dropped, but could not be removed then.
        descriptor = self._folder.create(_name(digest))
        self._parts[digest] = _Part(0)
        return descriptor

    def _verify(self, digest: bytes) -> bool:
        """Whether a content of full size is what it claims to be; drop it if not."""
        if digest in self._memory:
            whole = digest_of(self._memory[digest]) == digest
        else:
            part = self._parts[digest]
            if not part.is_whole:
                part.is_whole = self._hash_rest(digest, part) == digest
                self._remember(digest, part)
            whole = part.is_whole
        if not whole:
            self.discard(digest)
        return whole

    def _remember(self, digest: bytes, part: _Part) -> None:
        if part.is_whole and part.held > LARGE:
            self._signatures.put(digest, Known(part.hasher.signature()))

    def _hash_rest(self, digest: bytes, part: _Part) -> bytes:
        descriptor = self._folder.open(_name(digest))
        try:
            self._folder.seek(descriptor, part.hasher.size)
            while piece := self._folder.read(descriptor, PIECE):
                part.hasher.update(piece)
        finally:
            self._folder.close_file(descriptor)
        return part.hasher.digest()

    def _hash_on(self, digest: bytes, part: _Part) -> None:
        """Take the next piece of what is held into the digest."""
        descriptor = self._folder.open(_name(digest))
        try:
            self._folder.seek(descriptor, part.hasher.size)
            piece = self._folder.read(descriptor, min(PIECE, part.held - part.hasher.size))
        finally:
            self._folder.close_file(descriptor)
        if not piece:
            raise OSError(errno.EIO, "a part is shorter than it was")
        part.hasher.update(piece)

    def _truncate(self, name: str, size: int) -> None:
        descriptor = self._folder.open_for_writing(name)
        try:
            self._folder.truncate(descriptor, size)
        finally:
            self._folder.close_file(descriptor)

    def _unlink(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._folder.unlink(name)


def _name(digest: bytes) -> str:
    return f"{STAGE}/{digest.hex()}{_PART}"


def _digest_in(name: str) -> bytes | None:
    hexadecimal = name.removesuffix(_PART)
    if not name.endswith(_PART) or len(hexadecimal) != 2 * DIGEST_SIZE:
        return None
    try:
        return bytes.fromhex(hexadecimal)
    except ValueError:
        return None


def _check(digest: bytes, offset: int, length: int, size: int, held: int) -> None:
    """Raise ValueError for what an honest peer would not send."""
    if len(digest) != DIGEST_SIZE:
        raise ValueError(f"a digest of {len(digest)} bytes")
    if not 0 <= size <= SIZE_MAX:
        raise ValueError(f"a content of {size} bytes")
    if offset < 0 or length < 0 or offset + length > size:
        raise ValueError(f"bytes {offset} to {offset + length} of a content of {size}")
    if offset > held:
        raise ValueError(f"bytes from {offset} where {held} are held")
