"""How the admin writes times: one style, always with the zone. Django reads a locale's formats, not the settings'."""

DATE_FORMAT = "j M Y"
DATETIME_FORMAT = "j M Y, H:i T"
TIME_FORMAT = "H:i:s"
