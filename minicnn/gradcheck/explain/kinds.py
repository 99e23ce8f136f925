"""Kinds of NumPy's functions, by name: where slips of one kind are made in them."""

__all__ = ["BENT", "CHOOSE", "COMPARED", "JOINS", "LARGEST", "MASKED", "MOVED", "ORDERS", "PRODUCTS", "REMOVABLE",
           "SUMS", "TOGETHER"]  # fmt: skip

ORDERS = {"transpose", "swapaxes", "flip", "getitem", "roll", "reshape", "moveaxis", "rot90", "fliplr", "flipud"}
PRODUCTS = {"matmul", "einsum", "dot", "tensordot", "inner", "solve"}
JOINS = {"concatenate", "hstack", "vstack", "stack", "dstack", "column_stack"}
MASKED = {"maximum", "minimum", "where", "clip", "tril", "triu"}  # some of what they take does not get through
BENT = MASKED | {"abs", "absolute", "fmax", "fmin", "put", "sign", "sort"}  # have kinks
LARGEST = {"max", "amax", "min", "amin"}
CHOOSE = {"argmax", "argmin", "argsort", "argpartition", "equal", "greater", "less"}
COMPARED = {"greater", "less", "greater_equal", "less_equal"}
SUMS = {"sum", "mean", "max", "cumsum", "prod"}
REMOVABLE = {"sum", "mean", "max", "amax", "min", "prod"} | PRODUCTS  # may be too many though the shape is another then
TOGETHER = LARGEST | {"sum", "mean", "var", "std", "prod", "norm", "reduce", "average", "median"}  # statistics
MOVED = {"add", "subtract", "getitem", "reshape", "transpose", "broadcast_to", "swapaxes", "concatenate", "put"}
