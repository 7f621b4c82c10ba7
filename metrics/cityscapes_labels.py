"""The 34 label ids of Cityscapes (cityscapesScripts, ``helpers/labels.py``)."""

from __future__ import annotations

from typing import NamedTuple


class Label(NamedTuple):
    """A label; its id is its position in LABELS.

    ``average_size`` is the mean number of pixels of an instance in the training set, for labels that have
    instances (``evalPixelLevelSemanticLabeling.py``, ``avgClassSize``).
    """

    name: str
    category: str
    is_ignored: bool
    average_size: float | None


# fmt: off
LABELS = (
    #     name                     category         ignored  average_size
    Label("unlabeled"             , "void"         , True  , None),
    Label("ego vehicle"           , "void"         , True  , None),
    Label("rectification border"  , "void"         , True  , None),
    Label("out of roi"            , "void"         , True  , None),
    Label("static"                , "void"         , True  , None),
    Label("dynamic"               , "void"         , True  , None),
    Label("ground"                , "void"         , True  , None),
    Label("road"                  , "flat"         , False , None),
    Label("sidewalk"              , "flat"         , False , None),
    Label("parking"               , "flat"         , True  , None),
    Label("rail track"            , "flat"         , True  , None),
    Label("building"              , "construction" , False , None),
    Label("wall"                  , "construction" , False , None),
    Label("fence"                 , "construction" , False , None),
    Label("guard rail"            , "construction" , True  , None),
    Label("bridge"                , "construction" , True  , None),
    Label("tunnel"                , "construction" , True  , None),
    Label("pole"                  , "object"       , False , None),
    Label("polegroup"             , "object"       , True  , None),
    Label("traffic light"         , "object"       , False , None),
    Label("traffic sign"          , "object"       , False , None),
    Label("vegetation"            , "nature"       , False , None),
    Label("terrain"               , "nature"       , False , None),
    Label("sky"                   , "sky"          , False , None),
    Label("person"                , "human"        , False , 3462.4756337644),
    Label("rider"                 , "human"        , False , 3930.4788056518),
    Label("car"                   , "vehicle"      , False , 12794.0202738185),
    Label("truck"                 , "vehicle"      , False , 27855.1264367816),
    Label("bus"                   , "vehicle"      , False , 35732.1511111111),
    Label("caravan"               , "vehicle"      , True  , 36771.8241758242),
    Label("trailer"               , "vehicle"      , True  , 16926.9763313609),
    Label("train"                 , "vehicle"      , False , 67583.7075812274),
    Label("motorcycle"            , "vehicle"      , False , 6298.7200839748),
    Label("bicycle"               , "vehicle"      , False , 4672.3249222261),
)
# fmt: on

CATEGORIES = tuple(dict.fromkeys(label.category for label in LABELS if not label.is_ignored))
"""The seven categories that are scored."""

INSTANCE_CATEGORIES = ("human", "vehicle")
"""Categories of which every label has instances."""

EVALUATED_IDS = tuple(i for i, label in enumerate(LABELS) if not label.is_ignored)
"""Label ids of the 19 classes, in the order of their train ids."""
