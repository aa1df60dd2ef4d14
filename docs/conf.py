"""How Sphinx builds these pages: `make docs`."""

from __future__ import annotations

from mkw_airflow_provider import __version__

project = "MetaKraftwerk provider for Apache Airflow"
author = "the authors of mkw-airflow-provider"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]

# Headings have the anchors that Markdown readers on the web give them.
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block", "colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"

# Names of Python and Airflow: their indexes would have to be fetched, and these pages are built without a network.
nitpick_ignore = [
    ("py:class", "airflow.triggers.base.TriggerEvent"),
    ("py:class", "collections.abc.AsyncIterator"),
    ("py:class", "collections.abc.Mapping"),
    ("py:class", "collections.abc.Sequence"),
    ("py:class", "datetime.timedelta"),
    ("py:class", "pathlib.PurePath"),
    ("py:class", "Asset"),
    ("py:class", "DeploymentDict"),
    ("py:class", "IfDeployed"),
    ("py:class", "IfEmpty"),
    ("py:class", "IfUnchanged"),
    ("py:class", "Instances"),
    ("py:class", "OnClear"),
    ("py:class", "ObjectStoragePath"),
    ("py:class", "SensorMode"),
    ("py:class", "TaskGroupArguments"),
    ("py:class", "os.PathLike"),
    ("py:class", "timedelta"),
    ("py:class", "XComArg"),
    ("py:exc", "AirflowFailException"),
    ("py:exc", "AirflowSensorTimeout"),
    ("py:exc", "AirflowSkipException"),
]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = "MetaKraftwerk for Airflow"

# Prompts are not part of a command.
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
