"""Files of links that are read: user u likes item i."""

import tomllib

from hinaug.io.tables import build

LIKES = ("user", "likes", "item")
EDGE = '[edge.user.likes.item]\nsrc = "u"\ndst = "i"\n'


def made(path, content, schema=EDGE):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return build([path], tomllib.loads(schema))


def links(hin):
    src, dst = hin.links(LIKES)
    ends = (hin.ids("user", src).to_pylist(), hin.ids("item", dst).to_pylist())
    return list(zip(*ends, strict=True))
