"""How the page looks."""

import gradio as gr

# Fonts of the user's system: nothing is fetched from elsewhere.
_FONTS = ['system-ui', 'sans-serif']
_MONO = ['ui-monospace', 'monospace']

CSS = """
.gradio-container { max-width: 1560px !important; margin: auto !important; }
#query img { cursor: crosshair; }
#hint { font-size: 1.1em; }
.people .thumbnail-item { aspect-ratio: auto; height: auto; display: flex; padding: 4px;
  flex-direction: column; }
.people .thumbnail-item img { height: 128px; width: 100%; object-fit: contain; }
.people .thumbnail-item .caption-label { position: static; max-width: 100%; width: 100%;
  padding: 2px; border: 0; background: none; white-space: pre-line; text-align: center;
  line-height: 1.3; opacity: 1; }
.people .grid-container { grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); }
#kept-crops .thumbnail-item img { height: 96px; }
#kept-crops .grid-wrap { min-height: 0; }
#download { display: none; }
#details table { width: 100%; }
#details th, #details td { border: 0; padding: 3px 8px; text-align: left; }
"""


def theme() -> gr.themes.Base:
    """The page's colours and fonts."""
    return gr.themes.Soft(primary_hue='blue', font=_FONTS, font_mono=_MONO)
