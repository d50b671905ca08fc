"""The studio's Gradio theme: system fonts and one accent colour. Layout and everything else is
static/studio.css.

Try: python -c "from webui.theme import build_theme; print(build_theme().name)"
"""

from __future__ import annotations

import gradio as gr

SANS = [
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Noto Sans",
    "Noto Sans CJK SC",
    "PingFang SC",
    "sans-serif",
]
MONO = [
    "ui-monospace",
    "SF Mono",
    "Menlo",
    "Consolas",
    "DejaVu Sans Mono",
    "Noto Sans Mono CJK SC",
    "monospace",
]

ACCENT = gr.themes.Color(
    c50="#eef1fe", c100="#e0e6fd", c200="#c5cffa", c300="#a3b2f6", c400="#8095ef", c500="#5a73e6",
    c600="#3f5bd9", c700="#3048bf", c800="#2a3d98", c900="#263778", c950="#171f45", name="tunesmith",
)  # fmt: skip


def build_theme() -> gr.themes.Base:
    """Fonts are names of installed ones: nothing is fetched from another host."""
    theme = gr.themes.Base(
        primary_hue=ACCENT,
        neutral_hue=gr.themes.colors.slate,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=SANS,
        font_mono=MONO,
    )
    return theme.set(
        body_background_fill="var(--ts-bg)",
        body_background_fill_dark="var(--ts-bg)",
        body_text_color="var(--ts-ink)",
        body_text_color_dark="var(--ts-ink)",
        body_text_color_subdued="var(--ts-mut)",
        body_text_color_subdued_dark="var(--ts-mut)",
        block_background_fill="var(--ts-card)",
        block_background_fill_dark="var(--ts-card)",
        block_border_color="var(--ts-line)",
        block_border_color_dark="var(--ts-line)",
        border_color_primary="var(--ts-line)",
        border_color_primary_dark="var(--ts-line)",
        input_background_fill="var(--ts-field)",
        input_background_fill_dark="var(--ts-field)",
        input_border_width="1px",
        input_border_width_dark="1px",
        input_border_color="var(--ts-edge)",
        input_border_color_dark="var(--ts-edge)",
        input_border_color_focus="var(--ts-acc)",
        input_border_color_focus_dark="var(--ts-acc)",
        button_primary_background_fill="var(--ts-btn)",
        button_primary_background_fill_dark="var(--ts-btn)",
        button_primary_background_fill_hover="var(--ts-btn-hover)",
        button_primary_background_fill_hover_dark="var(--ts-btn-hover)",
        button_primary_text_color="#fff",
        button_primary_text_color_dark="#fff",
    )
