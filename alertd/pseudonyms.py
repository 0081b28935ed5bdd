"""How personal values may be shown: as they are where that is configured, else as pseudonyms."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from alertd.engine.fields import Field, Show

if TYPE_CHECKING:
    from alertd.config import Config


def shown(config: Config, key: bytes) -> Show:
    """How personal values may be shown: as they are where configured, else as pseudonyms, stable in one store."""

    def show(personal: Field, value: str) -> str:
        plain = config.privacy.show_identities if "identity" in personal.name else config.privacy.show_room_names
        return value if plain else f"anon-{hmac.digest(key, value.encode(), 'sha256').hex()[:10]}"

    return show
