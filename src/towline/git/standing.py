"""How the two repositories stand to each other, and commits made on the machine as refs here.

Nothing here changes a branch, an index or a file of the project: what to do is said, and left to
the person.
"""

from __future__ import annotations

from dataclasses import dataclass

from towline.errors import UserError
from towline.git.here import Point, Repository, ensure_repository, point_of
from towline.git.there import Far
from towline.places import Binding


@dataclass(frozen=True, slots=True)
class Standing:
    """Commits that only the laptop's HEAD has, and only the machine's; None: not known yet."""

    here: Point
    there: Point
    ref: str  # Where the machine's branch is found here once it was fetched.
    only_here: int | None = None
    only_there: int | None = None
    staged_there: bool = False

    @property
    def relation(self) -> str:
        if self.here.head == self.there.head:
            return "same"
        if self.only_there is None:
            return "not fetched"
        if self.only_here and self.only_there:
            return "both"
        return "here" if self.only_here else "there"


def standing(binding: Binding) -> Standing:
    """Raises UserError if there is no repository on the machine."""
    repository = Repository(binding.project)
    ensure_repository(repository)
    there = Far(binding).look()
    if there is None:
        raise UserError("there is no repository on the machine", "`towline git setup` makes it")
    here = point_of(repository)
    ref = ref_of(binding, there.point)
    head = there.point.head
    if head is not None and not repository.has(head):
        return Standing(here, there.point, ref, None, None, there.has_staged)
    only_here, only_there = _counts(repository, here.head, head)
    return Standing(here, there.point, ref, only_here, only_there, there.has_staged)


def fetch(binding: Binding) -> Standing:
    """Bring what was committed there, as `towline/NAME/BRANCH`; say how it stands then."""
    now = standing(binding)
    if now.there.head is not None:
        place = f"refs/remotes/towline/{binding.name}"
        refs = [f"+refs/heads/*:{place}/*"]
        if now.there.branch is None:
            refs.append(f"+HEAD:refs/remotes/{now.ref}")
        Far(binding).fetch(Repository(binding.project), refs)
    return standing(binding)


def ref_of(binding: Binding, there: Point) -> str:
    return f"towline/{binding.name}/{there.branch or 'detached'}"


def _counts(repository: Repository, here: str | None, there: str | None) -> tuple[int, int]:
    if here is None or there is None:
        only = [0 if head is None else repository.count(head) for head in (here, there)]
    else:
        only = [repository.count(f"{there}..{here}"), repository.count(f"{here}..{there}")]
    return only[0], only[1]


def advice(now: Standing) -> str:
    """What to do next, in one sentence."""
    match now.relation:
        case "not fetched":
            return "`towline git fetch` brings the machine's commits"
        case "here":
            return "`towline git setup` brings the machine to where you are"
        case "there":
            return f"`git reset {now.ref}` takes them over; your files stay as they are"
        case "both":
            return (
                f"both sides committed: `git merge -s ours --no-commit {now.ref}`, then add what "
                "it brought and commit; your files hold both sides' changes already"
            )
        case _:
            return ""
