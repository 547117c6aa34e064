"""xml: XML documents that scripts read, search, change and write.

The law: declarations only; what a document is, the adapter knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lumilter.adapters import xml
from lumilter.adapters.xml import XmlDocument, XmlError, XmlNode
from lumilter.calls import Items
from lumilter.registry import api, lua_class

PACKAGE = "xml"

lua_class("xmldoc", XmlDocument)
lua_class("xmlnode", XmlNode)


@api("xml.parsexml", package=PACKAGE, extension=True)
def parsexml(strxml: bytes, keep_blanks: float | bool | None = None) -> XmlDocument | tuple[None, str]:
    """The document behind a text, or nil and what is wrong with it.

    keep_blanks: 1 keeps white space between elements as text nodes. Entities that a document declares, more than 250
    levels and more than 8 MB are refused.
    """
    try:
        return xml.parse(strxml, bool(keep_blanks))
    except XmlError as error:
        return None, str(error)


@api("doc:root", package=PACKAGE, extension=True)
def root(doc: XmlDocument) -> XmlNode:
    """The root element."""
    return XmlNode(doc.root)


@api("doc:tostring", package=PACKAGE, extension=True)
def doc_tostring(doc: XmlDocument) -> str:
    """The whole document as text, in UTF-8; tostring(doc) is the same."""
    return str(doc)


@api("doc:xpath", package=PACKAGE, extension=True)
def xpath(doc: XmlDocument, query: str, contextnode: Any = None) -> Items | str | float | bool:
    """An iterator over the nodes that an XPath query finds; a number, text or boolean where it has such a value.

    contextnode: the element at which the query starts.
    """
    if isinstance(contextnode, dict) and list(contextnode) == [1]:  # "in square brackets", the manual says
        contextnode = contextnode[1]
    if contextnode is not None and not isinstance(contextnode, XmlNode):
        raise XmlError("the context is no node")
    found = doc.xpath(query, contextnode)
    return items(found) if isinstance(found, Iterator) else found


@api("node:addchild", package=PACKAGE, extension=True)
def addchild(node: XmlNode, value: XmlNode | str) -> XmlNode:
    """Add a child at the end and return it: a new element of that name, or a node, which leaves where it was."""
    return node.add(value) if isinstance(value, str) else node.add_node(value)


@api("node:attribute", package=PACKAGE, extension=True)
def attribute(node: XmlNode, name: str, *value: str | None) -> str | None:
    """The value of an attribute, nil if there is none; with a second argument, set it, or remove it with nil."""
    if not value:
        return node.attribute(name)
    node.set_attribute(name, value[0])
    return None


@api("node:attr", package=PACKAGE, extension=True)
def attr(node: XmlNode, name: str, *value: str | None) -> str | None:
    """As node:attribute."""
    found: str | None = attribute(node, name, *value)
    return found


@api("node:children", package=PACKAGE, extension=True)
def children(node: XmlNode) -> Items:
    """An iterator over the child nodes: elements, text, comments."""
    return items(iter(list(node.children())))


@api("node:contents", package=PACKAGE, extension=True)
def contents(node: XmlNode, text_str: str | None = None) -> str | None:
    """The text in the node; with an argument, put that text in place of everything in it."""
    if text_str is None:
        return node.contents()
    node.set_contents(text_str)
    return None


@api("node:doc", package=PACKAGE, extension=True)
def doc(node: XmlNode) -> XmlDocument | None:
    """The document that the node is in."""
    return node.document()


@api("node:name", package=PACKAGE, extension=True)
def name(node: XmlNode) -> str:
    """The name of an element or attribute; "text" for text, "comment" for a comment."""
    return node.name


@api("node:tostring", package=PACKAGE, extension=True)
def node_tostring(node: XmlNode) -> str:
    """The node and all that is in it as text, in UTF-8; tostring(node) is the same."""
    return str(node)


@api("node:unlink", package=PACKAGE, extension=True)
def unlink(node: XmlNode) -> XmlNode:
    """Take the node out of its document and return it; a root stays the root of its own."""
    return node.unlink()


def items(nodes: Iterator[XmlNode]) -> Items:
    """What a script iterates over."""
    return Items(lambda: next(nodes, None))
