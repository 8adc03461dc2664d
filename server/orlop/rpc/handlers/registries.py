"""Handlers of `registry/*` and of the images that come from and go to registries."""

from __future__ import annotations

from orlop.core import reference as references
from orlop.engine import pulling, pushing
from orlop.engine import registries as use_cases
from orlop.engine.engine import Engine
from orlop.protocol import images, registries
from orlop.protocol.common import Empty
from orlop.rpc.dispatch import Call
from orlop.rpc.transfers import TransferTeller


class RegistryHandlers:
    """Answers about registries. Secrets are handed on and never logged."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def pull(self, params: images.ImagePullParams, call: Call) -> images.ImagePullResult:
        """Pull a name or a whole repository."""
        reference = references.parse(params.reference)
        wanted = use_cases.parse_platform(params.platform)
        job = call.job(TransferTeller(call))
        if params.all_tags:
            pulled = list(self._engine.registries.pull_all(reference, wanted, job))
        else:
            call.report(reference.or_latest().familiar)
            pulled = [self._engine.registries.pull(reference, wanted, job)]
        return images.ImagePullResult(pulled=[_pulled(one) for one in pulled])

    def push(self, params: images.ImagePushParams, call: Call) -> images.ImagePushResult:
        """Push a name, its image under another name, or all names of a repository."""
        reference = references.parse(params.reference)
        job = call.job(TransferTeller(call))
        if params.all_tags:
            pushed = list(self._engine.registries.push_all(reference, job))
        else:
            target = references.parse(params.target) if params.target else None
            call.report((target or reference).or_latest().familiar)
            pushed = [self._engine.registries.push(reference, job, target=target)]
        return images.ImagePushResult(pushed=[_pushed(one) for one in pushed])

    def push_plan(self, params: images.ImagePushPlanParams, call: Call) -> images.ImagePushPlanResult:
        """What a push would do."""
        target = references.parse(params.target) if params.target else None
        plan = self._engine.registries.push_plan(references.parse(params.reference), call.job(), target=target)
        return images.ImagePushPlanResult(
            reference=str(plan.reference),
            registry=plan.registry,
            account=plan.account or None,
            size=plan.size,
            upload=plan.upload,
            exact=plan.exact,
            layers=[
                images.PlannedLayer(digest=str(layer.digest), size=layer.size, exists=layer.exists)
                for layer in plan.layers
            ],
        )

    def list(self, _: Empty, __: Call) -> registries.RegistryListResult:
        """The registries that are known here."""
        return registries.RegistryListResult(
            registries=[
                registries.RegistryInfo(host=one.host, username=one.username or None, source=one.source, kept=one.kept)
                for one in self._engine.registries.list()
            ]
        )

    def login(self, params: registries.RegistryLoginParams, call: Call) -> registries.RegistryLoginResult:
        """Try an account and keep it."""
        done = self._engine.registries.login(
            params.host, params.username, params.secret, call.job(), remember=params.remember, check=params.check
        )
        return registries.RegistryLoginResult(host=done.host, username=done.username, source=done.source)

    def logout(self, params: registries.RegistryLogoutParams, _: Call) -> registries.RegistryLogoutResult:
        """Forget a login."""
        host = use_cases.host_of(params.host)
        forgotten = self._engine.registries.logout(host, kept=params.kept)
        return registries.RegistryLogoutResult(host=host, forgotten=forgotten)

    def search(self, params: registries.RegistrySearchParams, call: Call) -> registries.RegistrySearchResult:
        """Search Docker Hub."""
        found = self._engine.registries.search(
            params.term, params.limit, call.job(), official=params.official, stars=params.stars
        )
        return registries.RegistrySearchResult(
            results=[
                registries.SearchHit(name=one.name, description=one.description, stars=one.stars, official=one.official)
                for one in found
            ]
        )

    def repositories(
        self, params: registries.RegistryRepositoriesParams, call: Call
    ) -> registries.RegistryRepositoriesResult:
        """One page of a registry's repositories."""
        page = self._engine.registries.repositories(
            params.host, call.job(), namespace=params.namespace, cursor=params.cursor or "", limit=params.limit
        )
        return registries.RegistryRepositoriesResult(repositories=list(page.items), cursor=page.next or None)

    def tags(self, params: registries.RegistryTagsParams, call: Call) -> registries.RegistryTagsResult:
        """One page of a repository's tags."""
        page = self._engine.registries.tags(
            references.parse(params.repository), call.job(), cursor=params.cursor or "", limit=params.limit
        )
        return registries.RegistryTagsResult(tags=list(page.items), cursor=page.next or None)

    def manifest(self, params: registries.RegistryManifestParams, call: Call) -> registries.RegistryManifestResult:
        """What a name stands for at its registry."""
        found = self._engine.registries.manifest(references.parse(params.reference), call.job())
        return registries.RegistryManifestResult(
            reference=str(found.reference),
            digest=str(found.digest),
            media_type=str(found.media_type),
            size=found.size,
            platforms=[str(one) for one in found.platforms],
            created=found.created,
            json=use_cases.document_text(found.raw),
        )

    def delete_tag(self, params: registries.RegistryDeleteTagParams, call: Call) -> registries.RegistryDeleteTagResult:
        """Delete a tag, or say what that would do."""
        gone = self._engine.registries.remove_tag(
            references.parse(params.reference), call.job(), force=params.force, dry_run=params.dry_run
        )
        return registries.RegistryDeleteTagResult(
            reference=str(gone.reference), digest=str(gone.digest), deleted=list(gone.deleted), kept=list(gone.kept)
        )

    def create_repository(
        self, params: registries.RegistryCreateRepositoryParams, call: Call
    ) -> registries.RegistryCreateRepositoryResult:
        """A new repository at Docker Hub."""
        made = self._engine.registries.create_repository(
            references.parse(params.name), params.description, call.job(), private=params.private
        )
        return registries.RegistryCreateRepositoryResult(repository=made.repository)

    def copy(self, params: registries.RegistryCopyParams, call: Call) -> registries.RegistryCopyResult:
        """Copy between registries."""
        target, copied = self._engine.registries.copy(
            references.parse(params.source), references.parse(params.target), call.job(TransferTeller(call))
        )
        return registries.RegistryCopyResult(
            reference=str(target), digest=str(copied.target.digest), copied=copied.copied, skipped=copied.skipped
        )


def _pulled(one: pulling.Pulled) -> images.PulledImage:
    return images.PulledImage(
        reference=str(one.reference), id=str(one.image.id), digest=str(one.digest), status=one.status
    )


def _pushed(one: pushing.Pushed) -> images.PushedImage:
    return images.PushedImage(reference=str(one.reference), digest=str(one.digest), size=one.size)
