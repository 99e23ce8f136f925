"""The walkthrough as a book of self-contained pages: every state that the widgets of a chapter can be in is computed
when the book is built, and a page only chooses among them."""

from .build import build

__all__ = ["build"]
