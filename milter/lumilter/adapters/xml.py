"""XML documents: parsed, searched, changed and written, over lxml.

The law: the only importer of lxml, which it imports late. Nothing is fetched and no entity is ever expanded: a
document that declares any is refused. A node is a place in lxml's tree, which has no nodes for text and attributes.

Source: manual, pages ref-xml-*; where they are silent, what libxml2 does, which Momentum's functions show through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from lumilter.errors import LumilterError

MAX_SIZE = 8 << 20
"""Bytes of a document."""
MAX_DEPTH = 250
"""Levels of elements; libxml2 itself reads no more than 256."""
_XML = "http://www.w3.org/XML/1998/namespace"


class XmlError(LumilterError):
    """A document or a change that is no XML."""


@cache
def _etree() -> Any:
    from lxml import etree

    return etree


def load() -> None:
    """Import lxml, for which the first document would wait else."""
    _etree()


def parse(text: bytes, keep_blanks: bool = False) -> XmlDocument:
    """Raises XmlError. keep_blanks: white space between elements becomes nodes."""
    if len(text) > MAX_SIZE:
        raise XmlError(f"the document is larger than {MAX_SIZE} bytes")
    etree = _etree()
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_blank_text=not keep_blanks,
    )
    try:
        root = etree.fromstring(text, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise XmlError(getattr(error, "msg", None) or str(error) or "it is no XML") from None
    if root is None:
        raise XmlError("it is no XML")
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise XmlError("the document declares entities; they are never expanded, so it is not read")
    if _height(root, MAX_DEPTH) > MAX_DEPTH:
        raise XmlError(f"the document is nested more than {MAX_DEPTH} levels deep")
    return XmlDocument(root)


class XmlDocument:
    """A document is what its root is the root of."""

    __slots__ = ("root",)

    def __init__(self, root: Any) -> None:
        self.root = root

    def __eq__(self, other: object) -> bool:
        return isinstance(other, XmlDocument) and self.root is other.root

    def __hash__(self) -> int:
        return id(self.root)

    @property
    def _tree(self) -> Any:
        return _etree().ElementTree(self.root)  # getroottree() would be the tree that it was parsed in

    def __str__(self) -> str:
        text: str = _etree().tostring(self._tree, encoding="unicode", pretty_print=True)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'

    def xpath(self, query: str, context: XmlNode | None) -> Iterator[XmlNode] | str | float | bool:
        """The nodes that an XPath 1.0 expression finds, or its value. Raises XmlError.

        context: where it starts; None is the root's document. Prefixes are those of the root element.
        """
        start = self._tree if context is None else context.element
        if start is None or (context is not None and context.place):
            raise XmlError("a query can only start at an element")
        prefixes = {prefix: uri for prefix, uri in self.root.nsmap.items() if prefix}
        try:
            found = start.xpath(query, namespaces=prefixes)
        except (_etree().XPathError, ValueError) as error:
            raise XmlError(f"{query!r}: {error}") from None
        if isinstance(found, list):
            return (_found(each) for each in found)
        return str(found) if isinstance(found, str) else found


class XmlNode:
    """element: of lxml; place: "" for the element itself, "text" for the text before its first child, "tail" for the
    text behind it, "@name" for an attribute. loose: the text of a node that was taken out of its document.
    """

    __slots__ = ("element", "loose", "place")

    def __init__(self, element: Any, place: str = "", loose: str | None = None) -> None:
        self.element, self.place, self.loose = element, place, loose

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, XmlNode)
            and self.loose is other.loose is None
            and self.element is other.element
            and self.place == other.place
        )

    def __hash__(self) -> int:
        return hash((id(self.element), self.place))

    def __str__(self) -> str:
        if self.loose is not None or self.place:
            return _escaped(self.contents())
        text: str = _etree().tostring(self.element, encoding="unicode", pretty_print=True, with_tail=False)
        return text.rstrip("\n")

    @property
    def is_element(self) -> bool:
        """Whether it may have children and attributes."""
        return self.loose is None and not self.place and isinstance(self.element.tag, str)

    @property
    def name(self) -> str:
        """The element's local name, or "text", "comment", an attribute's name, a processing instruction's target."""
        etree = _etree()
        if self.place.startswith("@"):
            return str(etree.QName(self.place[1:]).localname)
        if self.loose is not None or self.place:
            return "text"
        if self.element.tag is etree.Comment:
            return "comment"
        if self.element.tag is etree.PI:
            return str(self.element.target)
        return str(etree.QName(self.element).localname)

    def document(self) -> XmlDocument | None:
        """None for text that is in none."""
        if self.loose is not None:
            return None
        top = self.element
        while (above := top.getparent()) is not None:
            top = above
        return XmlDocument(top)

    def children(self) -> Iterator[XmlNode]:
        """Elements, text and comments, in order."""
        if not self.is_element:
            return
        if self.element.text:
            yield XmlNode(self.element, "text")
        for child in self.element:
            yield XmlNode(child)
            if child.tail:
                yield XmlNode(child, "tail")

    def contents(self) -> str:
        """The text in it, that of its descendants included."""
        if self.loose is not None:
            return self.loose
        if self.place == "text":
            return self.element.text or ""
        if self.place == "tail":
            return self.element.tail or ""
        if self.place:
            return str(self.element.get(self.place[1:], ""))
        if not self.is_element:
            return self.element.text or ""
        return str(self.element.xpath("string()"))

    def set_contents(self, text: str) -> None:
        """Put a text in place of everything in it. Raises XmlError."""
        _checked(lambda: self._set_contents(text))

    def _set_contents(self, text: str) -> None:
        if self.loose is not None:
            self.loose = text
        elif self.place == "tail":
            self.element.tail = text
        elif self.place.startswith("@"):
            self.element.set(self.place[1:], text)
        else:
            if self.is_element and not self.place:
                del self.element[:]
            self.element.text = text

    def attribute(self, name: str) -> str | None:
        """Its value; by the name alone, whatever its namespace, as libxml2 has it. Raises XmlError."""
        if not self.is_element:
            return None
        key = self._key(name)
        value: str | None = _checked(lambda: self.element.get(key))
        if value is not None:
            return value
        local = _etree().QName
        return next((str(value) for key, value in self.element.items() if local(key).localname == name), None)

    def set_attribute(self, name: str, value: str | None) -> None:
        """Set it, or remove it with None. Raises XmlError."""
        if not self.is_element:
            raise XmlError("only an element has attributes")
        key = self._key(name)
        _checked(lambda: self.element.attrib.pop(key, None) if value is None else self.element.set(key, value))

    def add(self, name: str) -> XmlNode:
        """A new element at the end of the children, in the namespace of this one unless it has a prefix."""
        self._check_may_have_children()
        key = self._key(name)
        if ":" not in name and self.element.tag.startswith("{"):
            key = f"{self.element.tag.partition('}')[0]}}}{name}"
        made: Any = _checked(lambda: _etree().SubElement(self.element, key))
        return XmlNode(made)

    def add_node(self, node: XmlNode) -> XmlNode:
        """Move a node, from wherever it is, to the end of the children. Raises XmlError."""
        self._check_may_have_children()
        if node.place.startswith("@"):
            raise XmlError("an attribute can't become a child")
        if node.loose is None and not node.place:
            above = [self.element, *self.element.iterancestors()]
            if any(each is node.element for each in above):
                raise XmlError("a node can't be put into itself")
            room = MAX_DEPTH - len(above)
            if _height(node.element, room) > room:
                raise XmlError(f"the document would be nested more than {MAX_DEPTH} levels deep")
            _take_out(node.element)
            self.element.append(node.element)
            return node
        node.unlink()
        text = node.contents()
        if len(self.element):
            last = self.element[-1]
            last.tail, node.element, node.place = (last.tail or "") + text, last, "tail"
        else:
            self.element.text, node.element, node.place = (self.element.text or "") + text, self.element, "text"
        node.loose = None
        return node

    def unlink(self) -> XmlNode:
        """Take it out of its document; the root stays the root of its own."""
        if self.loose is not None:
            return self
        if not self.place:
            _take_out(self.element)
            return self
        text = self.contents()
        if self.place == "text":
            self.element.text = None
        elif self.place == "tail":
            self.element.tail = None
        else:
            self.element.attrib.pop(self.place[1:], None)
        self.loose = text
        return self

    def _check_may_have_children(self) -> None:
        if not self.is_element:
            raise XmlError("only an element has children")
        if sum(1 for _ in self.element.iterancestors()) + 2 > MAX_DEPTH:
            raise XmlError(f"the document would be nested more than {MAX_DEPTH} levels deep")

    def _key(self, name: str) -> str:
        """lxml's name for a name, which may have a prefix."""
        prefix, colon, local = name.partition(":")
        if not colon:
            return name
        uri = _XML if prefix == "xml" else self.element.nsmap.get(prefix)
        if uri is None:
            raise XmlError(f"the prefix {prefix!r} stands for no namespace here")
        return f"{{{uri}}}{local}"


def _found(each: Any) -> XmlNode:
    """A node of an XPath result."""
    if not isinstance(each, str):
        return XmlNode(each)
    parent: Any = each.getparent()  # type: ignore[attr-defined]
    if parent is None:
        return XmlNode(None, "text", str(each))
    if each.is_attribute:  # type: ignore[attr-defined]
        return XmlNode(parent, f"@{each.attrname}")  # type: ignore[attr-defined]
    return XmlNode(parent, "tail" if each.is_tail else "text")  # type: ignore[attr-defined]


def _take_out(element: Any) -> None:
    """Remove an element from its parent; the text behind it stays where it is, which lxml would take along."""
    parent, tail = element.getparent(), element.tail
    if parent is None:
        return
    before = element.getprevious()
    element.tail = None
    parent.remove(element)
    if tail and before is not None:
        before.tail = (before.tail or "") + tail
    elif tail:
        parent.text = (parent.text or "") + tail


def _height(element: Any, most: int) -> int:
    """Levels of elements in it, itself included; no more than one beyond `most` is counted."""
    height, deepest = 0, 0
    for event, _ in _etree().iterwalk(element, events=("start", "end")):
        height += 1 if event == "start" else -1
        deepest = max(deepest, height)
        if deepest > most:
            break
    return deepest


def _checked(change: Callable[[], Any]) -> Any:
    try:
        return change()
    except (ValueError, TypeError) as error:  # a control character, half a surrogate pair, a name that is none
        raise XmlError(str(error)) from None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
