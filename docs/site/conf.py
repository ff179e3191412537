"""Settings of the documentation site: `make docs` builds it from the Markdown files of this repository."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the package regard_site

from regard_site import navigation

from regard.version import __version__

# Where the repository can be read. Without an address, links to source files lead to pages of the site that show them.
regard_repository_url = os.environ.get("REGARD_REPOSITORY_URL", "")

project = "regard"
author = "The regard developers"
release = version = __version__
language = "en"
toc_object_entries_show_parents = "hide"

# The source folder is the root of the repository, so that links between its files are the same everywhere.
root_doc = "README"
include_patterns = [f"{name}.md" for name in navigation.documents()]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "regard_site",
]

myst_enable_extensions = ["attrs_block", "colon_fence", "dollarmath", "html_image"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = True
napoleon_use_ivar = True
add_module_names = False
python_use_unqualified_type_names = True
default_role = "literal"  # docstrings have names in single backticks

# Names of other packages are not links: their documentation is elsewhere, and the site is built without network.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!regard\b).*"),
    (r"py:.*", r"regard\.(config|reports|runs|terms|testing)\..*"),  # used inside, and not a public name
]

html_theme = "furo"
html_title = f"regard {version}"
html_math_renderer = "mathml"
html_static_path = ["static", "../../src/regard/lessons/static/fonts"]
html_css_files = ["site.css"]
html_favicon = "static/favicon.svg"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#1f62a8",
        "color-brand-content": "#1f62a8",
        "color-code-background": "#f4f6f9",
    },
    "dark_css_variables": {
        "color-brand-primary": "#e09a4d",
        "color-brand-content": "#e09a4d",
        "color-code-background": "#1c2128",
    },
}
pygments_style = "github-light"
pygments_dark_style = "github-dark"
suppress_warnings = ["misc.highlighting_failure"]  # JSON with an ellipsis
highlight_language = "text"
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"
