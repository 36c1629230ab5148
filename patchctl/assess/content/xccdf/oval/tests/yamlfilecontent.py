"""yamlfilecontent (OVAL independent schema, 5.11.3 extension): values that a YAML path finds."""

from __future__ import annotations

import yaml

from patchctl.assess.content.xccdf.oval import paths, yamlpath
from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted


class _Yamlfilecontent:
    name = "yamlfilecontent"

    def limits(self, found: Object) -> list[str]:
        named = paths.limits(found)
        query = found.entities.get("yamlpath")
        if query is None or query.operation != "equals":
            named.append("OVAL yamlfilecontent without a literal yamlpath")
        elif query.value is not None:
            try:
                yamlpath.parse(query.value)
            except yamlpath.YamlPathError as error:
                named.append(f"yamlpath {error}")
        return named

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each file in which the path finds something; its values are records."""
        query = wanted.entity("yamlpath")
        if query is None or query.literals is None:
            raise ObjectError("yamlfilecontent names no yamlpath")
        found: list[OvalItem] = []
        for file in paths.texts(wanted, facts):
            for one in query.literals:
                try:
                    records = yamlpath.records(file.found, yamlpath.parse(one))
                except (yamlpath.YamlPathError, yaml.YAMLError, RecursionError) as error:
                    raise ObjectError(f"{file.filepath}: {error}") from error
                if records:
                    entities = {"filepath": (file.filepath,), "path": (file.folder,), "filename": (file.name,),
                                "yamlpath": (one,)}
                    found.append(OvalItem(entities, records={"value": records}))
        return collected(found)


TYPE = _Yamlfilecontent()
