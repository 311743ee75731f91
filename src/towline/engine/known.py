"""What is known of the laptop's side: the rules, and the tree that was found by them.

Both can be stale: a file of rules has changed, or the watch has lost count. Nothing is planned
before both are read again. The machine's side is not known here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from towline.core.entry import Directory, Entry
from towline.core.ignore import Rules, Verdict
from towline.engine.local import Local
from towline.engine.trees import Trees


class Known:
    """`read_rules` reads what is synced from the project's files; `is_rule_file` says whether a
    path is one of them. `changed` is awaited with new rules, `scanned` called after each scan.
    """

    def __init__(
        self,
        local: Local,
        trees: Trees,
        *,
        read_rules: Callable[[], Awaitable[Rules]],
        is_rule_file: Callable[[str], bool],
        changed: Callable[[Rules], Awaitable[None]],
        scanned: Callable[[], None],
    ) -> None:
        self.rules: Rules | None = None
        self.is_scanned = False  # Before the first scan, what is not known is not deleted.
        self._local = local
        self._trees = trees
        self._read_rules = read_rules
        self._is_rule_file = is_rule_file
        self._changed = changed
        self._scanned = scanned
        self._are_rules_stale = True
        self._is_tree_stale = True
        self._is_refreshing = False

    @property
    def is_true(self) -> bool:
        """Whether all is known, and nothing has to be looked at as a whole."""
        return self.is_scanned and not (self.is_stale or self._is_refreshing)

    @property
    def is_stale(self) -> bool:
        return self._are_rules_stale or self._is_tree_stale

    def ignores(self, path: str, entry: Entry | None) -> bool:
        rules = self.rules
        return rules is not None and rules.ignores(path, isinstance(entry, Directory))

    def verdict_on(self, path: str) -> Verdict | None:
        """Say whether `path` is ignored, and by which rule; None while the rules are unknown."""
        if self.rules is None:
            return None
        return self.rules.explain(path, isinstance(self._trees.local.get(path), Directory))

    def note(self, path: str) -> None:
        """Something has changed at `path`: the rules are stale if they stand there."""
        if self._is_rule_file(path):
            self._are_rules_stale = True

    def doubt(self) -> None:
        """The tree is stale: more has happened than was told."""
        self._is_tree_stale = True

    async def refresh(self) -> None:
        """Make sure that rules and tree are what the project's files say, once they were read."""
        if self.rules is None:
            return
        self._is_refreshing = True
        try:
            if self._are_rules_stale:
                await self._refresh_rules()
            if self._is_tree_stale:
                await self.scan()
        finally:
            self._is_refreshing = False

    async def scan(self) -> None:
        """Read the rules if they may have changed, and look at everything."""
        self._is_refreshing, self._is_tree_stale = True, False
        try:
            if self._are_rules_stale:
                await self._refresh_rules()
            self._is_tree_stale = False  # The scan is by the rules just read.
            self._trees.take_local(await self._local.scan())
        except BaseException:  # Cancelled, most likely: it is still to be done.
            self._is_tree_stale = True
            raise
        finally:
            self._is_refreshing = False
        self.is_scanned = True
        self._scanned()

    async def _refresh_rules(self) -> None:
        self._are_rules_stale = False
        try:
            rules = await self._read_rules()
            if rules == self.rules:
                return
            await self._local.set_rules(rules)
        except BaseException:
            self._are_rules_stale = True
            raise
        self._trees.forget_ignored(rules)
        self._is_tree_stale = self.rules is not None
        self.rules = rules
        await self._changed(rules)
