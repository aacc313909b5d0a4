from core.route_tree import RouteTree

class RouteTable:
    nodes: int
    size: int
    methods: tuple[str, ...]
    roots: dict[bytes, int]
    def __new__(cls, tree: RouteTree) -> RouteTable: ...
