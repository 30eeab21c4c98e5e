"""The few elements that the page is made of: text in any tag, a figure that is a button, a chart of fixed height."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.dashboard.chain import Origin

__all__ = ["Chart", "FigureButton", "Text", "box", "link"]


class Text(TextElement):
    """Text in a tag; the browser is handed it as text, never as HTML."""

    def __init__(self, tag: str, text: str = "", classes: str = "", **attributes: str) -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)
        self.attribute(**attributes)

    def attribute(self, **attributes: str) -> None:
        """Set attributes; `aria_label` is aria-label. They do not go through a parser, so any text is safe."""
        for name, value in attributes.items():
            self.props[name.replace("_", "-")] = value

    def say(self, text: str) -> None:
        """Change the text, if it is another."""
        if self.text != text:
            self.text = text


class FigureButton(Text):
    """A number that tells where it came from when it is pressed."""

    def __init__(self, name: str, opened: Callable[[Origin], Any]) -> None:
        super().__init__("button", classes="figure", type="button", data_figure=name)
        self._origin: Origin | None = None
        self._opened = opened
        self.on("click", self._press, [])

    def show(self, text: str, origin: Origin) -> None:
        """Show another number."""
        self._origin = origin
        self.say(text)
        label = f"{origin.what}: {text}. Where does it come from?"
        if self.props.get("aria-label") != label:
            self.attribute(aria_label=label)
            self.update()

    async def _press(self) -> None:
        if self._origin is not None:
            await self._opened(self._origin)


class Chart:
    """A titled chart whose place has its height before it is drawn, so that nothing moves."""

    def __init__(self, title: str, name: str) -> None:
        with box("figure", "chart"):
            self._title = Text("figcaption", title)
            self._chart = ui.echart({}).classes("canvas")
            self._chart.props["data-chart"] = name
            self._chart.props["role"] = "img"
            self._chart.props["aria-label"] = title

    def show(self, options: dict[str, Any], label: str) -> None:
        """Draw it anew where it has changed; `label` says in words what can be seen."""
        if self._chart.options != options:
            self._chart.props["options"] = options
            self._chart.props["aria-label"] = label
            self._chart.update()

    def redraw(self) -> None:
        """Draw it again, in the colours of now."""
        self._chart.update()


def box(tag: str, classes: str = "", **attributes: str) -> ui.element:
    """An element that holds others."""
    element = ui.element(tag).classes(classes)
    for name, value in attributes.items():
        element.props[name.replace("_", "-")] = value
    return element


def link(text: str, target: str, classes: str = "") -> Text:
    """A link to another page, which is opened beside this one."""
    return Text("a", text, classes, href=target, target="_blank", rel="noopener noreferrer")
