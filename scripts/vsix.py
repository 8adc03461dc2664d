"""Zips a staged folder into a VSIX: package, manifest and content types; the same bytes for the same input."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

TYPES = {
    ".js": "application/javascript",
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
    ".py": "text/x-python",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".vsixmanifest": "text/xml",
}
OTHER = "application/octet-stream"
EPOCH = (1980, 1, 1, 0, 0, 0)


def main(stage: Path, target: Path) -> None:
    """Write `target` from what `stage` holds."""
    package: dict[str, Any] = json.loads((stage / "package.json").read_text(encoding="utf-8"))
    texts: dict[str, str] = json.loads((stage / "package.nls.json").read_text(encoding="utf-8"))
    files = sorted(path for path in stage.rglob("*") if path.is_file())
    temporary = target.with_suffix(".new")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        add(archive, "extension.vsixmanifest", manifest(package, texts, stage).encode())
        add(archive, "[Content_Types].xml", content_types(files).encode())
        for path in files:
            add(archive, f"extension/{path.relative_to(stage).as_posix()}", path.read_bytes())
    os.replace(temporary, target)


def add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """One file, readable by all, without a time."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.external_attr = 0o100644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def manifest(package: dict[str, Any], texts: dict[str, str], stage: Path) -> str:
    """What an extension gallery and VS Code read first (VSIX manifest 2.0.0)."""

    def text(value: str) -> str:
        return escape(texts[value.strip("%")] if value.startswith("%") else value)

    assets = {
        "Microsoft.VisualStudio.Code.Manifest": "extension/package.json",
        "Microsoft.VisualStudio.Services.Content.License": "extension/LICENSE",
        "Microsoft.VisualStudio.Services.Icons.Default": f"extension/{package['icon']}",
    }
    if (stage / "README.md").exists():
        assets["Microsoft.VisualStudio.Services.Content.Details"] = "extension/README.md"
    if (stage / "CHANGELOG.md").exists():
        assets["Microsoft.VisualStudio.Services.Content.Changelog"] = "extension/CHANGELOG.md"
    listed = "\n".join(
        f'    <Asset Type={quoteattr(kind)} Path={quoteattr(path)} Addressable="true"/>'
        for kind, path in assets.items()
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    <Identity Language="en-US" Id={quoteattr(package["name"])} Version={quoteattr(package["version"])} \
Publisher={quoteattr(package["publisher"])}/>
    <DisplayName>{text(package["displayName"])}</DisplayName>
    <Description xml:space="preserve">{text(package["description"])}</Description>
    <Tags>{escape(",".join(package["keywords"]))}</Tags>
    <Categories>{escape(",".join(package["categories"]))}</Categories>
    <GalleryFlags>Public</GalleryFlags>
    <Properties>
      <Property Id="Microsoft.VisualStudio.Code.Engine" Value={quoteattr(package["engines"]["vscode"])}/>
      <Property Id="Microsoft.VisualStudio.Code.ExtensionKind" Value={quoteattr(",".join(package["extensionKind"]))}/>
      <Property Id="Microsoft.VisualStudio.Code.ExecutesCode" Value="true"/>
    </Properties>
    <License>extension/LICENSE</License>
    <Icon>extension/{escape(package["icon"])}</Icon>
  </Metadata>
  <Installation>
    <InstallationTarget Id="Microsoft.VisualStudio.Code"/>
  </Installation>
  <Dependencies/>
  <Assets>
{listed}
  </Assets>
</PackageManifest>
"""


def content_types(files: list[Path]) -> str:
    """A type for every suffix (Open Packaging Conventions)."""
    suffixes = sorted({path.suffix.lower() for path in files if path.suffix} | {".vsixmanifest"})
    defaults = "".join(
        f"<Default Extension={quoteattr(suffix)} ContentType={quoteattr(TYPES.get(suffix, OTHER))}/>"
        for suffix in suffixes
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">{defaults}</Types>\n'
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
