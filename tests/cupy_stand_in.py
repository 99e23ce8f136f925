"""CuPy with two GPUs, made on NumPy: it computes on the processor, and refuses what CuPy refuses.

Real GPUs do some wrong things without a word. Here they raise: WrongDevice, an array used while another GPU is current
(CuPy only warns); Unordered, memory used by a stream that waited for no event of the stream that last used it (the
numbers are then right or wrong by chance); Strided, an array handed to a kernel of ours, which knows no strides. What
happens while memory is freed cannot raise, and is told in ``violations``.

Each stream has a vector clock: to what tick it knows the work of every stream. Work is done at once, in the order of
the program, but uploads from pinned memory on a stream: these read the host's memory only when somebody looks; and but
sums over several processes, which NCCL is here to do: for these nobody waits before he looks.

A stream that is captured does nothing, and what would need an answer is refused: each thing is done once, to learn the
shapes of results, and written down; in the end all memory is as it was before, and what is new holds NaN.
"""

import ctypes
import enum
import itertools
import sys
import threading
import time
import types
import weakref
from collections import Counter
from typing import ClassVar

import numpy as np

GPUS, BYTES = 2, 80 << 30
launches = Counter()  # by name of kernel
violations = []  # sentences
_real = {}  # modules of a CuPy that was imported before
only_read = {}  # name of a kernel: which of its arguments, counted from 0, it does not write to


class WrongDevice(RuntimeError):
    """An array, stream or event of one GPU is used while another is current."""


class Unordered(RuntimeError):
    """A stream uses memory without knowing that another one has done with it."""


class Strided(RuntimeError):
    """A kernel would take the memory of an array with strides for that of a contiguous one."""


class CUDARuntimeError(RuntimeError):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class CUDADriverError(RuntimeError):
    pass


# -- who knows what -------------------------------------------------------------------------------------------------


class _Here(threading.local):
    """What is current in a thread."""

    def __init__(self):
        self.device, self.streams = 0, {}


_here, _serial = _Here(), itertools.count(1)
_host = {}  # {stream: tick}: what the host knows to be done. One for all threads, which hand over to one another
_lock = threading.RLock()
_alive = weakref.WeakSet()  # all memory
_nulls, _streams, _used, _waiting, _pinned = {}, [], Counter(), [], weakref.WeakSet()


def _merge(clock, other):
    for stream, tick in list(other.items()):  # a copy, since memory may be freed meanwhile
        if tick > clock.get(stream, 0):
            clock[stream] = tick


def _host_learns(clock):
    _merge(_host, clock)
    for upload in [u for u in _waiting if clock.get(u.stream, 0) >= u.tick]:
        upload.run()


class Stream:
    """As cupy.cuda.Stream. ``Stream.null`` is that of the device which is current when it is used."""

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None, *, _device=None):
        self.device_id = _here.device if _device is None else _device
        self.is_null, self.is_non_blocking = _device is not None, non_blocking
        self.ptr = 0 if self.is_null else next(_serial) << 8
        self.clock, self.tick, self._before, self.tape = {}, 0, [], None
        if null:
            self.__class__ = _Null
        elif not self.is_null:
            _streams.append(self)

    def __repr__(self):
        return f"{'the null stream' if self.is_null else f'stream {self.ptr:#x}'} of GPU {self.device_id}"

    def _catch_up(self):
        """Learn what work that is enqueued now comes after: all that the host knows, and, with a legacy null stream,
        what the blocking streams of its device do, or the other way round."""
        _merge(self.clock, _host)
        if self.is_null:
            for other in _streams:
                if other.device_id == self.device_id and not other.is_non_blocking:
                    _merge(self.clock, other.clock)
        elif not self.is_non_blocking:
            _merge(self.clock, _null(self.device_id).clock)

    def _next(self):
        self._catch_up()
        self.tick += 1
        self.clock[self] = self.tick
        return self.tick

    def use(self):
        if self.device_id != _here.device:
            raise WrongDevice(f"{self} is made the current one while GPU {_here.device} is current")
        _here.streams[self.device_id] = self
        return self

    def __enter__(self):
        self._before.append(_current())
        return self.use()

    def __exit__(self, *error):
        before = self._before.pop()
        _here.streams[before.device_id] = before

    def record(self, event=None):
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        if not isinstance(event, Event):
            raise TypeError(f"wait_event: {event!r} is no event")
        with _lock:
            self._next()
            _merge(self.clock, event.clock)

    def synchronize(self):
        _refuse_while_capturing()
        with _lock:
            self._catch_up()
            _host_learns(self.clock)

    def begin_capture(self, mode=None):
        if self.is_null or self.tape is not None:
            raise CUDARuntimeError(900, "cudaErrorStreamCaptureUnsupported: operation not permitted")
        self.tape = Graph(self.device_id)

    def is_capturing(self):
        return self.tape is not None

    def end_capture(self):
        graph, self.tape = self.tape, None
        graph.end()
        return graph

    @property
    def done(self):
        return all(_host.get(stream, 0) >= tick for stream, tick in self.clock.items())


class _Null(Stream):
    """Whichever null stream is current; it keeps nothing of its own."""

    def __init__(self):
        self._before = []

    def __getattribute__(self, name):
        if name in ("__class__", "__enter__", "__exit__", "_before"):
            return object.__getattribute__(self, name)
        return getattr(_null(_here.device), name)

    def __enter__(self):
        self._before.append(_current())
        return _null(_here.device).use()


Stream.null = _Null()


def _null(device):
    if device not in _nulls:
        _nulls[device] = Stream(_device=device)
    return _nulls[device]


def _current():
    return _here.streams.get(_here.device) or _null(_here.device)


def _as_stream(stream):
    return _current() if stream is None else _null(_here.device) if isinstance(stream, _Null) else stream


def _tape():
    return _current().tape


def _refuse_while_capturing():
    if _tape() is not None:
        raise CUDARuntimeError(900, "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is "
                                    "capturing")


class Graph:
    """What was told to a stream while it was captured."""

    def __init__(self, device):
        self.device_id, self.work, self.reads, self.writes, self.before, self.new = device, [], {}, {}, {}, []

    def note(self, reads, writes):
        for memory in writes:
            if not memory.of_graph and memory not in self.before:
                self.before[memory] = memory.array.copy()
        self.reads.update(dict.fromkeys(reads))
        self.writes.update(dict.fromkeys(writes))

    def end(self):
        for memory, array in self.before.items():
            memory.array[...] = array
        for array in self.new:
            ctypes.memset(array.__array_interface__["data"][0], 0xFF, array.nbytes)  # NaN, or far too large

    def launch(self, stream=None):
        if self.device_id != _here.device:
            raise WrongDevice(f"a graph of GPU {self.device_id} is launched while GPU {_here.device} is current")
        used = [m for m in (*self.reads, *self.writes) if not m.of_graph]
        _enqueue(_as_stream(stream), used, [m for m in self.writes if not m.of_graph])
        for memory in self.writes:
            if memory.of_graph:
                memory.written, memory.reads = (_as_stream(stream), _as_stream(stream).tick), {}
        with np.errstate(all="ignore"):
            for again in self.work:
                again()


class MemoryPool:
    def malloc(self, size):
        raise NotImplementedError("the stand-in has memory enough")


class using_allocator:
    def __init__(self, allocator=None):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class Event:
    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.device_id, self.clock, self.timed, self.time = _here.device, {}, not disable_timing, None

    def record(self, stream=None):
        stream = _as_stream(stream)
        if stream.device_id != self.device_id:
            raise WrongDevice(f"an event of GPU {self.device_id} is recorded on {stream}")
        with _lock:
            stream._next()
        self.clock, self.time = dict(stream.clock), time.perf_counter()

    def synchronize(self):
        _host_learns(self.clock)

    @property
    def done(self):
        _host_learns(self.clock)  # work is done at once
        return True


def get_elapsed_time(start, end):
    if not (start.timed and end.timed and start.time and end.time):
        raise CUDARuntimeError(400, "cudaErrorInvalidResourceHandle: invalid resource handle")
    return 1000 * (end.time - start.time)


# -- memory -----------------------------------------------------------------------------------------------------------


class Memory:
    """One allocation. The pool gives it, once freed, at once to the next that asks on the same stream."""

    def __init__(self, array):
        self.array, self.size, self.device_id, self.stream = array, array.nbytes, _here.device, _current()
        self.stream._catch_up()
        self.written, self.reads, self.uploads = (self.stream, self.stream.tick), {}, []
        self.fresh = True  # nobody has written to it
        self.of_graph = _tape() is not None
        self.begins = array.__array_interface__["data"][0]
        _alive.add(self)
        if self.of_graph:
            _tape().new.append(array)
        _used[self.device_id] += self.size

    def __del__(self):
        _used[self.device_id] -= self.size
        if self.of_graph:
            return  # its pool keeps it
        clock = {self.stream: self.stream.tick, **self.stream.clock}
        if any(clock.get(s, 0) < t for s, t in (self.written, *self.reads.items())):
            self.stream._catch_up()
            for stream, tick in (self.written, *self.reads.items()):
                if stream is not self.stream and self.stream.clock.get(stream, 0) < tick:
                    violations.append(f"{self.size} bytes of {self.stream} were freed while {stream} may still use "
                                      f"them: {self.stream} waited for no event recorded there afterwards")

    def knows(self, stream, write):
        """Raise Unordered unless what the stream does now comes after what was done here."""
        (writer, tick), clock = self.written, stream.clock
        if writer is not stream and clock.get(writer, 0) < tick:
            raise Unordered(f"{stream} {'writes' if write else 'reads'} what {writer} "
                            f"{'allocated, from a pool' if self.fresh else 'wrote'}: {stream} waited for no event that "
                            f"{writer} recorded afterwards")
        for reader, tick in self.reads.items() if write else ():
            if reader is not stream and clock.get(reader, 0) < tick:
                raise Unordered(f"{stream} writes what {reader} reads: {stream} waited for no event that {reader} "
                                "recorded afterwards")


class MemoryPointer:
    """The place in memory where an array begins."""

    def __init__(self, array):
        self._array, self.mem, self.device_id = array, array._memory, array._memory.device_id

    ptr = property(lambda self: self._array._np.__array_interface__["data"][0])

    def _room(self, size):
        whole = self.mem.array
        room = whole.nbytes - (self.ptr - whole.__array_interface__["data"][0])
        assert size <= room, f"{size} bytes at a place where there are {room}"

    def copy_from_device_async(self, src, size, stream=None):
        """On any device's stream, as CUDA has it."""
        if size:
            self._room(size)
            src._room(size)
            _enqueue(_as_stream(stream), [src.mem], [self.mem])
            _effect(lambda: ctypes.memmove(self.ptr, src.ptr, size))

    def copy_from_host_async(self, mem, size, stream=None):
        _refuse_while_capturing()
        source = getattr(mem, "value", mem)
        if size:
            self._room(size)
            stream = _as_stream(stream)
            tick = _enqueue(stream, [], [self.mem])
            upload = _Upload(stream, tick, self, source, size)
            if not any(p.ptr <= source < p.ptr + len(p) for p in _pinned):
                upload.run()  # from other memory it is staged before the call returns

    def copy_to_host_async(self, mem, size, stream=None):
        _refuse_while_capturing()
        if size:
            self._room(size)
            _enqueue(_as_stream(stream), [self.mem], [])
            ctypes.memmove(getattr(mem, "value", mem), self.ptr, size)


class _Upload:
    """A copy from pinned memory that waits: what the host writes there too early, goes over."""

    def __init__(self, stream, tick, to, source, size):
        self.stream, self.tick, self.to, self.source, self.size = stream, tick, to, source, size
        self.kept = [p for p in _pinned if p.ptr <= source < p.ptr + len(p)]
        to.mem.uploads.append(self)
        _waiting.append(self)

    def run(self):
        ctypes.memmove(self.to.ptr, self.source, self.size)
        self.to.mem.uploads.remove(self)
        _waiting.remove(self)


class PinnedMemoryPointer(bytearray):
    def __init__(self, size):
        super().__init__(size)
        self.mem, self.ptr = self, np.frombuffer(self, np.uint8).__array_interface__["data"][0] if size else 0
        _pinned.add(self)

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other

    def size(self):
        return len(self)


def _enqueue(stream, reads, writes):
    """Let the stream do one more thing, which uses this memory. Nothing changes where it is out of order."""
    if stream.tape is not None:
        stream.tape.note(reads, writes)
        return 0
    with _lock:
        tick = stream._next()
        for memory in reads:
            memory.knows(stream, False)
        for memory in writes:
            memory.knows(stream, True)
        for memory in itertools.chain(reads, writes):
            if memory.uploads:
                _look(memory)
        for memory in reads:
            memory.reads[stream] = tick
        for memory in writes:
            memory.written, memory.reads, memory.fresh = (stream, tick), {}, False
        return tick


def _look(memory):
    for upload in list(memory.uploads):
        upload.run()


def _do(reads, writes=()):
    """The current stream does one more thing with memory of the current device."""
    device = _here.device
    for memory in itertools.chain(reads, writes):
        if memory.device_id != device:
            raise WrongDevice(f"an array of GPU {memory.device_id} is used while GPU {device} is current")
    return _enqueue(_current(), reads, writes)


# -- arrays -----------------------------------------------------------------------------------------------------------

_NUMBERS = {bool, int, float, complex, *(np.dtype(c).type for c in "?bhilqBHILQefdFD")}
_COMPARISONS = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"}
_words = str.split
_MISSING = set(_words(  # of NumPy's functions and ufuncs, those that CuPy 14.2 has not
    "block busday_count busday_offset datetime_as_string einsum_path geomspace histogram_bin_edges insert is_busday "
    "nanpercentile nanquantile polyder polydiv polyint unstack isnat matvec spacing vecdot vecmat"))
_VIEWS = set(_words(
    "broadcast_to expand_dims moveaxis swapaxes transpose squeeze rollaxis permute_dims matrix_transpose diagonal flip "
    "fliplr flipud rot90 reshape ravel broadcast_arrays split array_split"))
_FACTS = {"shape", "ndim", "size", "may_share_memory", "can_cast", "result_type", "iscomplexobj", "isrealobj"}
_TEXT = {"array2string", "array_str", "array_repr", "save"}


def _new(array, fresh=False):
    """NumPy's result as an array of the current device, which the current stream has just written."""
    array = np.asarray(array)
    if array.base is not None:
        array = array.copy()
    memory = Memory(array)
    if not fresh:
        memory.written, memory.fresh = (memory.stream, memory.stream.tick), False
    return ndarray._of(array, memory, None)


def _effect(work):
    """work(), which writes to memory that is there; also written down where the current stream is captured."""
    if (tape := _tape()) is not None:
        tape.work.append(work)
    return work()


def _made(compute, wrap=None):
    """What compute() gives, in new memory; computed anew, in the same memory, by the graph that is captured."""
    result = (wrap or _wrapped)(compute())
    if (tape := _tape()) is not None:
        def again():
            new = compute()
            for old, array in zip(*((x if type(x) in (list, tuple) else [x]) for x in (result, new)), strict=True):
                if type(old) is ndarray:
                    old._np[...] = array

        tape.work.append(again)
    return result


def _wrapped(result):
    if isinstance(result, (tuple, list)):
        return list(map(_wrapped, result)) if type(result) is list else tuple(map(_wrapped, result))
    return _new(result) if isinstance(result, (np.ndarray, np.generic, bool, int, float)) else result


def _unwrap(x, memories):
    """x with NumPy's arrays for CuPy's, whose memory is added to a list. NumPy's own are refused."""
    if type(x) is ndarray:
        memories.append(x._memory)
        return x._np
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if type(x) in (tuple, list):
        return type(x)(_unwrap(item, memories) for item in x)
    return x


def _target(out):
    if type(out) is tuple:
        (out,) = out
    if out is not None and type(out) is not ndarray:
        raise TypeError("Output arguments type must be cupy.ndarray")
    return out


def _refuse_cublas():
    if _tape() is not None:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")


def _as_multiplied(f, raw):
    """Products of half precision are added up in single, as cuBLAS does."""
    half = f is np.matmul and all(x.dtype == np.float16 for x in raw)
    return [x.astype(np.float32) for x in raw] if half else raw


def _ufunc(f, inputs, kwargs, method="__call__"):
    if f is np.matmul:
        _refuse_cublas()
    raw, reads, out = [], [], _target(kwargs.pop("out", None)) if kwargs else None
    for x in inputs:
        if type(x) is ndarray:
            raw.append(x._np)
            reads.append(x._memory)
        elif type(x) in _NUMBERS:
            raw.append(x)
        elif isinstance(x, np.ndarray) and x.ndim == 0 and f.__name__ in _COMPARISONS:
            raw.append(x.item())
        elif method != "__call__" and (x is None or type(x) is tuple):
            raw.append(x)
        elif f is np.matmul:
            raise TypeError(f"Argument 'b' has incorrect type (expected cupy._core.core._ndarray_base, got {type(x)})")
        else:
            raise TypeError(f"Unsupported type {type(x)}")
    kwargs = {name: _unwrap(value, reads) for name, value in kwargs.items()}
    with np.errstate(all="ignore"):
        if out is not None:
            _do(reads, [out._memory])
            if f is not np.matmul and method == "__call__" and out.shape != np.broadcast_shapes(*map(np.shape, raw)):
                raise ValueError("Out shape is mismatched")
            _effect(lambda: getattr(f, method)(*_as_multiplied(f, raw), out=out._np, **kwargs))
            return out
        _do(reads)
        if _as_multiplied(f, raw) is not raw:
            return _made(lambda: f(*_as_multiplied(f, raw)).astype(np.float16))
        if method == "__call__":
            return _made(lambda: f(*raw, order="C", **kwargs))  # CuPy's results are in C order, whatever went in
        return _made(lambda: getattr(f, method)(*raw, **kwargs))


def _function(f, args, kwargs):
    name, memories = f.__name__, []
    if name in ("dot", "vdot", "inner", "tensordot", "einsum"):
        _refuse_cublas()
    if name in _MISSING or {"initial", "where", "like"} & kwargs.keys() or kwargs.get("subok") is not None:
        raise TypeError(f"CuPy has no such numpy.{name}: {kwargs}")
    if name.endswith("_like"):
        return _like(f, *args, **kwargs)
    if name in _TEXT:
        return f(*(x.get() if type(x) is ndarray else x for x in args), **kwargs)
    if name == "where" and not hasattr(args[0], "astype"):
        raise AttributeError(f"'{type(args[0]).__name__}' object has no attribute 'astype'")
    out = _target(kwargs.pop("out", None))
    raw = [_unwrap(x, memories) for x in args]
    raw_kwargs = {key: _unwrap(value, memories) for key, value in kwargs.items()}
    if name in _FACTS:
        return f(*raw, **raw_kwargs)
    with np.errstate(all="ignore"):
        if name in _VIEWS and type(args[0]) is ndarray:
            _look(args[0]._memory)
            result = f(*raw, **raw_kwargs)
            made = [args[0]._seen(r) for r in result] if isinstance(result, (list, tuple)) else args[0]._seen(result)
            return made
        _do(memories, [out._memory] if out is not None else [])
        if out is not None:
            _effect(lambda: f(*raw, out=out._np, **raw_kwargs))
            return out
        if name in ("copyto", "put", "place", "putmask", "fill_diagonal", "put_along_axis"):
            _do([], memories[:1])
            return _wrapped(_effect(lambda: f(*raw, **raw_kwargs)))
        keeps = name in ("copy", "astype")

        def compute():
            result = f(*raw, **raw_kwargs)
            return np.asarray(result, order="C") if isinstance(result, np.ndarray) and not keeps else result

        return _made(compute)


def _like(f, prototype, *args, dtype=None, order="K", subok=None, shape=None):
    """CuPy takes shape=() for none given."""
    value, dtype = (args, dtype) if f is np.full_like else ((), args[0] if args else dtype)
    if type(prototype) is not ndarray:
        raise TypeError(f"Unsupported type {type(prototype)}")
    def compute():
        return f(prototype._np, *value, dtype=dtype, order=order, shape=shape if shape else None)

    if f is np.empty_like:
        return _new(compute(), fresh=True)
    made = _made(compute, lambda array: _new(array, fresh=True))
    _do([], [made._memory])
    return made


class Flags:
    def __init__(self, array):
        self.c_contiguous, self.f_contiguous = array._np.flags.c_contiguous, array._np.flags.f_contiguous
        self.owndata = array.base is None


class ndarray:
    __slots__ = ("__weakref__", "_memory", "_np", "base")
    __array_priority__ = 100
    __hash__ = None

    def __new__(cls, shape, dtype=float, memptr=None, strides=None, order="C"):
        return _new(np.empty(shape, dtype, order or "C"), fresh=True)

    @classmethod
    def _of(cls, array, memory, base):
        self = object.__new__(cls)
        self._np, self._memory, self.base = array, memory, base
        return self

    def _seen(self, array):
        """A view of this one, or, where NumPy had to copy, what the current stream computed."""
        if array.base is None and array is not self._np:
            assert _tape() is None, "a view that has to copy is not written down"
            _do([self._memory])
            return _new(array)
        return ndarray._of(array, self._memory, self if self.base is None else self.base)

    for _name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides"):
        locals()[_name] = property(lambda self, _name=_name: getattr(self._np, _name))
    T = property(lambda self: self._seen(self._np.T) if self.ndim > 1 else self)
    mT = property(lambda self: self._seen(self._np.mT))
    flags, data = property(Flags), property(MemoryPointer)
    device = property(lambda self: Device(self._memory.device_id))

    @property
    def __cuda_array_interface__(self):
        return {"shape": self.shape, "typestr": self.dtype.str, "descr": self.dtype.descr, "version": 3,
                "stream": _current().ptr or 1, "strides": None if self.flags.c_contiguous else self.strides,
                "data": (self.data.ptr if self.size else 0, False)}

    def __dlpack_device__(self):
        return 2, self._memory.device_id

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """To other arrays of the stand-in itself, and to NumPy as a copy."""
        if dl_device == (1, 0):
            if copy is False:
                raise ValueError("GPU memory cannot be exported to CPU without copy.")
            return self.get().__dlpack__(max_version=max_version)
        if dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("unsupported device requested")
        if self._memory.device_id != _here.device:
            raise WrongDevice(f"an array of GPU {self._memory.device_id} is exported while GPU {_here.device} is "
                              "current")
        return self.copy() if copy else self._seen(self._np.view())

    # -- to and from the host ---------------------------------------------------------------------------------------

    def get(self, stream=None, order="C", out=None, blocking=True):
        if out is not None and (not isinstance(out, np.ndarray) or out.dtype != self.dtype):
            raise TypeError(f"{getattr(out, 'dtype', type(out))} array cannot be obtained from {self.dtype} array")
        if out is not None and out.shape != self.shape:
            raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: {out.shape}")
        if stream is None:
            _do([self._memory])
        else:
            _enqueue(_as_stream(stream), [self._memory], [])
        if blocking:
            _as_stream(stream).synchronize()
        if out is None:
            return self._np.copy(order="C" if order in "Cc" else order)
        out[...] = self._np
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self.flags.c_contiguous or self.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        if stream is None and self._memory.device_id != _here.device:
            raise WrongDevice(f"an array of GPU {self._memory.device_id} is set while GPU {_here.device} is current")
        arr = np.ascontiguousarray(arr) if self.flags.c_contiguous else np.asfortranarray(arr)
        self.data.copy_from_host_async(arr.__array_interface__["data"][0], self.nbytes, stream)
        if _as_stream(stream).is_null and stream is None:
            _current().synchronize()  # there CuPy copies at once

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy "
                        "array explicitly.")

    def item(self):
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def __bool__(self):
        if self.size > 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or "
                             "a.all()")
        return bool(self.size) and bool(self.get())

    tolist = lambda self: self.get().tolist()  # noqa: E731
    tobytes = lambda self, order="C": self.get().tobytes(order)  # noqa: E731
    __int__, __float__ = (lambda self: int(self.get())), (lambda self: float(self.get()))
    __repr__, __str__ = (lambda self: repr(self.get())), (lambda self: str(self.get()))
    __format__ = lambda self, spec: format(self.get(), spec)  # noqa: E731

    # -- copies and views ---------------------------------------------------------------------------------------------

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if casting is not None or subok is not None:
            raise TypeError("casting is not supported yet")
        if not copy and self._np.astype(dtype, order=order or "K", copy=False) is self._np:
            return self
        _do([self._memory])  # first, since an upload may wait
        return _made(lambda: self._np.astype(dtype, order=order or "K"), _new)

    def copy(self, order="C"):
        return self.astype(self.dtype, order=order)

    __copy__ = copy

    def view(self, dtype=None, type=None):
        return self._seen(self._np.view() if dtype is None else self._np.view(dtype))

    def reshape(self, *shape, order="C"):
        _look(self._memory)  # NumPy may have to copy
        return self._seen(self._np.reshape(*shape, order=order))

    def transpose(self, *axes):
        return self._seen(self._np.transpose(*axes))

    def swapaxes(self, axis1, axis2):
        return self._seen(self._np.swapaxes(axis1, axis2))

    def squeeze(self, axis=None):
        return self._seen(self._np.squeeze(axis))

    def ravel(self, order="C"):
        _look(self._memory)
        return self._seen(self._np.ravel(order))

    def flatten(self, order="C"):
        _do([self._memory])
        return _made(lambda: self._np.flatten(order), _new)

    def fill(self, value):
        if isinstance(value, (np.ndarray, list, tuple)) and np.shape(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        memories = []
        value = value.item() if isinstance(value, np.ndarray) else _unwrap(value, memories)
        _do(memories, [self._memory])
        _effect(lambda: self._np.__setitem__(..., value))

    def __len__(self):
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return len(self._np)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def _index(self, index):
        """(index, memory it is read from, whether elements are picked): host arrays are uploaded, as CuPy does."""
        parts, memories, picks, axis = [], [], False, 0
        given = index if isinstance(index, tuple) else (index,)
        for i, part in enumerate(given):
            if part is None or (isinstance(part, (int, np.integer, slice)) and not isinstance(part, bool)):
                axis += part is not None
            elif part is Ellipsis:
                axis = self.ndim - sum(p.ndim if getattr(getattr(p, "dtype", None), "kind", "") == "b" else
                                       p is not None for p in given[i + 1 :])  # fmt: skip
            else:
                empty = isinstance(part, (list, tuple)) and not len(part)
                array = _unwrap(part, memories) if type(part) is ndarray else np.asarray(part, int if empty else None)
                if array.dtype.kind not in "biu":
                    raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: "
                                     f"{array.dtype.type})")
                picks, wide = True, array.ndim if array.dtype.kind == "b" else 1
                if array.dtype.kind == "b":
                    _current().synchronize()  # to learn how many elements there are
                elif array.size and self.shape[axis]:
                    array = array.astype(np.int64) % self.shape[axis]  # CuPy wraps round what is out of bounds
                part, axis = array, axis + wide
            parts.append(part)
        return tuple(parts), memories, picks

    def __getitem__(self, index):
        index, memories, picks = self._index(index)
        if not picks:
            return ndarray._of(self._np[(*index, ...)] if Ellipsis not in index else self._np[index], self._memory,
                               self if self.base is None else self.base)
        _do([self._memory, *memories])
        return _made(lambda: self._np[index], _new)

    def __setitem__(self, index, value):
        index, memories, picks = self._index(index)
        if type(value) is ndarray:
            value = _unwrap(value, memories)
        elif not picks and np.shape(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        with np.errstate(all="ignore"):
            _do(memories, [self._memory])
            _effect(lambda: self._np.__setitem__(index, value))

    # -- what computes ----------------------------------------------------------------------------------------------

    def __array_ufunc__(self, f, method, *inputs, **kwargs):
        name = f.__name__
        if name in _MISSING or method == "at":  # np.add.at is refused, cupy.add.at is there
            return NotImplemented
        if not all(type(x) is ndarray or type(x) in _NUMBERS or isinstance(x, np.ndarray) or method != "__call__"
                   for x in inputs):  # fmt: skip
            return NotImplemented
        return _ufunc(f, inputs, kwargs, method)

    def __array_function__(self, f, types, args, kwargs):
        if f.__name__ in _MISSING or not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        made = _CREATES.get(f.__name__)
        return made(*args, **kwargs) if made else _function(f, args, kwargs)


def _operator(f):
    def forward(self, other):
        if type(other) is ndarray or type(other) in _NUMBERS:
            return _ufunc(f, (self, other), {})
        return NotImplemented if getattr(other, "__array_ufunc__", 0) is None else f(self, other)

    return forward


def _equality(f, answer):
    compare = _operator(f)

    def equal(self, other):  # CuPy compares with None and the like, element by element
        plain = other is None or type(other).__eq__ is object.__eq__  # from Python 3.13 on None has one of its own
        return full(self.shape, answer) if plain else compare(self, other)

    return equal


def _method(f, names):
    def method(self, *args, **kwargs):
        if len(args) > len(names) or kwargs.keys() - set(names):
            raise TypeError(f"{f.__name__}() takes {names}, was given {args} {kwargs}")
        given = {k: v for k, v in {**dict(zip(names, args, strict=False)), **kwargs}.items() if v is not None}
        return _function(f, (self,), given)

    return method


for _name, _f in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "mod": np.remainder,
                  "floordiv": np.floor_divide, "pow": np.power, "matmul": np.matmul, "and": np.bitwise_and,
                  "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift,
                  "rshift": np.right_shift}.items():  # fmt: skip
    setattr(ndarray, f"__{_name}__", _operator(_f))
    setattr(ndarray, f"__r{_name}__", lambda self, other, f=_f: _ufunc(f, (other, self), {}))
    if _name != "matmul":  # CuPy has no @=
        setattr(ndarray, f"__i{_name}__", lambda self, other, f=_f: _ufunc(f, (self, other), {"out": self}))
for _name, _f in {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}.items():
    setattr(ndarray, f"__{_name}__", _operator(_f))
ndarray.__eq__, ndarray.__ne__ = _equality(np.equal, False), _equality(np.not_equal, True)
for _name, _f in {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}.items():
    setattr(ndarray, f"__{_name}__", lambda self, f=_f: _ufunc(f, (self,), {}))
for _names, _takes in {"sum mean prod": "axis dtype out keepdims", "max min all any": "axis out keepdims",
                       "argmax argmin": "axis out dtype keepdims", "var std": "axis dtype out ddof keepdims",
                       "cumsum cumprod": "axis dtype out", "clip": "min max out", "round": "decimals out",
                       "dot": "b out", "take": "indices axis out", "repeat": "repeats axis", "argsort": "axis",
                       "nonzero": "", "trace": "offset axis1 axis2"}.items():  # fmt: skip
    for _name in _names.split():
        setattr(ndarray, _name, _method(getattr(np, _name), _takes.split()))


# -- the module -------------------------------------------------------------------------------------------------------


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """From the host in C order, or F where it lies so: what lies in yet another order does not keep it."""
    if type(obj) is ndarray:
        return obj.astype(obj.dtype if dtype is None else dtype, order=order or "K", copy=bool(copy))
    if isinstance(obj, (list, tuple)) and any(type(x) is ndarray for x in obj):
        return _function(np.stack, (obj,), {})
    if (order or "K") in "KA":
        order = "F" if isinstance(obj, np.ndarray) and obj.flags.f_contiguous else "C"
    made = np.array(obj, dtype=dtype, order=order, ndmin=ndmin)
    if made.dtype.char not in "?bhilqBHILQefdFD":
        raise ValueError(f"Unsupported dtype {made.dtype}")
    _refuse_while_capturing()
    made = _new(made)
    _do([], [made._memory])
    return made


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, bool(copy), order or "K")


def _creation(f, *, written=True):
    def create(*args, **kwargs):
        if not written:
            return _new(f(*args, **kwargs), fresh=True)
        made = _made(lambda: f(*args, **kwargs), lambda array: _new(array, fresh=True))
        _do([], [made._memory])
        return made

    return create


empty, zeros, ones = _creation(np.empty, written=False), _creation(np.zeros), _creation(np.ones)
full, arange, eye = _creation(np.full), _creation(np.arange), _creation(np.eye)
_CREATES = {f: globals()[f] for f in ("array", "asarray", "empty", "zeros", "ones", "full", "arange", "eye")}


def from_dlpack(array, *, device=None, copy=None):
    """Of what lives on a GPU. The current stream there is the one that the producer has to make wait."""
    kind, index = array.__dlpack_device__()
    if device is not None:
        raise NotImplementedError("from_dlpack() does not support device yet.")
    if kind != 2:
        raise RuntimeError("CuPy is built against CUDA, different from the backend that backs the incoming DLPack "
                           "tensor")
    with Device(index):
        given = array.__dlpack__(stream=_current().ptr or 1, max_version=(1, 0), copy=copy)
    if type(given) is not ndarray:
        raise TypeError("the stand-in knows its own arrays alone")
    return given


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(stream, order, out, blocking) if type(a) is ndarray else np.asarray(a, order=order)


def get_array_module(*args):
    return sys.modules["cupy"] if any(type(x) is ndarray for x in args) else np


class _CuPyUfunc:
    """cupy.add and the like: NumPy's ufunc on CuPy's arrays, and ``at``."""

    def __init__(self, f):
        self.f, self.__name__ = f, f.__name__

    def __call__(self, *inputs, **kwargs):
        return _ufunc(self.f, inputs, kwargs)

    def at(self, a, indices, b=None):
        if self.__name__ not in ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"):
            raise NotImplementedError(f"`{self.__name__}.at` is not supported yet")
        index, memories, _ = a._index(indices)
        b = _unwrap(b, memories) if type(b) is ndarray else np.asarray(b, a.dtype)  # the host's is uploaded
        _do(memories, [a._memory])
        _effect(lambda: self.f.at(a._np, index, b))


def _of_numpy(name):
    """cupy.name, by NumPy's."""
    f = None if name in _MISSING or name.startswith("_") else getattr(np, name, None)
    if isinstance(f, np.ufunc):
        return _CuPyUfunc(f)
    if isinstance(f, (type, float)):
        return f
    if not hasattr(f, "_implementation"):
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    return lambda *args, **kwargs: _function(f, args, kwargs)


def _checked(device):
    if not 0 <= device < GPUS:
        raise CUDARuntimeError(101, "cudaErrorInvalidDevice: invalid device ordinal")
    return device


class Device:
    compute_capability, name = "90", "stand-in"
    attributes = property(lambda self: {"MaxThreadsPerBlock": 1024, "MultiProcessorCount": 132, "WarpSize": 32})

    @property
    def mem_info(self):
        _refuse_while_capturing()
        return BYTES - _used[_checked(self.id)], BYTES

    def __init__(self, device=None):
        self.id, self._before = _here.device if device is None else getattr(device, "id", device), []
        self.id = int(self.id)

    def use(self):
        _here.device = _checked(self.id)

    def __enter__(self):
        self._before.append(_here.device)
        self.use()
        return self

    def __exit__(self, *error):
        _here.device = self._before.pop()

    def synchronize(self):
        for stream in [_null(_checked(self.id)), *_streams]:
            if stream.device_id == self.id:
                stream.synchronize()

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __int__(self):
        return self.id

    def __repr__(self):
        return f"<CUDA Device {self.id}>"


class _Pool:
    used_bytes = total_bytes = lambda self: _used[_here.device]

    def free_all_blocks(self, stream=None):
        pass

    free_bytes = n_free_blocks = lambda self: 0


class RawModule:
    compile = None  # given to install()

    def __init__(self, code=None, *, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
                 enable_cooperative_groups=False, name_expressions=None, jitify=False):  # fmt: skip
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if not isinstance(code, str) or not isinstance(options, tuple):
            raise TypeError("Argument 'code' or 'options' has incorrect type (expected str, tuple)")
        self.code, self.options, self._program = code, options, None

    def get_function(self, name):
        self._program = self._program or RawModule.compile(self.code, self.options)
        return lambda grid, block, args, **kwargs: self._launch(name, grid, block, args, **kwargs)

    def _launch(self, name, grid, block, args, *, shared_mem=0, stream=None):
        values, reads, writes, stream = [], [], [], _as_stream(stream)
        for i, x in enumerate(args):
            if type(x) is ndarray:
                if x._memory.device_id != _here.device:
                    raise WrongDevice(f"{name}: an array of GPU {x._memory.device_id} is used while GPU {_here.device} "
                                      "is current")
                if not x._np.flags.c_contiguous:
                    raise Strided(f"{name}: argument {i} {x.shape} has strides {x.strides}, which a kernel ignores")
                (reads if i in only_read.get(name, ()) else writes).append(x._memory)
                x = x._np
            elif isinstance(x, np.ndarray):
                if x.size != 1:
                    raise TypeError(f"You are trying to pass a numpy.ndarray of shape {x.shape} as a kernel parameter. "
                                    "Only numpy.ndarrays of size one can be passed by value.")
                x = x.reshape(())[()]
            elif type(x) in (bool, int, float, complex):
                x = np.int64(x) if isinstance(x, int) else np.float64(x) if isinstance(x, float) else np.complex128(x)
            elif x is not None and type(x) not in _NUMBERS:
                raise TypeError(f"Unsupported type {type(x)}")
            values.append(x)
        if stream.device_id != _here.device:
            raise WrongDevice(f"{name} is launched on {stream} while GPU {_here.device} is current")
        if not all(grid) or not all(block) or np.prod(block) > 1024:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        _enqueue(stream, reads, writes)
        launches[name] += 1
        _effect(lambda: self._program.launch(name, tuple(grid), tuple(block), values))


class _Cublas(types.ModuleType):
    """nvmath.bindings.cublas: a product of matrices that lie by columns, at addresses."""

    class ComputeType(enum.IntEnum):
        COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77

    computed_as: ClassVar = []  # of every product

    def create(self):
        if _tape() is not None:
            raise CUDARuntimeError(900, "cudaErrorStreamCaptureUnsupported: operation not permitted")
        return _here.device + 1

    def set_stream(self, handle, stream):
        self.stream = stream

    def set_workspace(self, handle, address, size):
        assert size >= 4 << 20

    def gemm_ex(self, handle, turn_a, turn_b, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc,
                compute, algorithm):  # fmt: skip
        assert handle == _here.device + 1 and self.stream == _current().ptr and algorithm == -1
        assert a_type == b_type == c_type and compute in {0: (68, 77), 1: (70,), 2: (68,)}[a_type]
        real = {0: np.float32, 1: np.float64, 2: np.float16}[a_type]
        wide = np.result_type(real, np.float32).type
        factors = [ctypes.cast(p, ctypes.POINTER(np.ctypeslib.as_ctypes_type(wide)))[0] for p in (alpha, beta)]
        assert factors == [1, 0]
        self.computed_as.append(compute)

        def lying(address, rows, columns, ld):
            assert ld >= max(1, rows), f"{ld} elements from column to column of {rows}"
            memory = next(m for m in _alive if m.begins <= address < m.begins + max(1, m.array.nbytes)
                          and m.device_id == _here.device)  # fmt: skip
            offset = address - memory.begins
            need = offset + ((columns - 1) * ld + rows) * np.dtype(real).itemsize
            assert not rows * columns or need <= memory.array.nbytes, "beyond the end of the memory"
            bytes_ = (ctypes.c_char * memory.array.nbytes).from_address(memory.begins)
            steps = np.dtype(real).itemsize, ld * np.dtype(real).itemsize
            return np.ndarray((rows, columns), real, bytes_, offset, steps), memory

        A, memory_a = lying(a, *((k, m) if turn_a else (m, k)), lda)
        B, memory_b = lying(b, *((n, k) if turn_b else (k, n)), ldb)
        C, memory_c = lying(c, m, n, ldc)
        A, B = (A.T if turn_a else A), (B.T if turn_b else B)
        _do([memory_a, memory_b], [memory_c])
        _effect(lambda: np.copyto(C, A.astype(wide) @ B.astype(wide), casting="same_kind"))


# -- NCCL -------------------------------------------------------------------------------------------------------------


class NcclError(RuntimeError):
    pass


class NcclCommunicator:
    """Of the ranks that mpiexec has started, by way of mpi4py. A sum is begun at once; only who looks at its memory
    waits for the others, as on a GPU does who synchronises."""

    aborted = False

    def __init__(self, ndev, commId, rank):
        from mpi4py import MPI

        assert len(commId) == 128
        self.mpi, self.device, self.sums = MPI.COMM_WORLD.Dup(), _here.device, []
        alike = self.mpi.allgather((ndev, commId))
        if alike != [(self.mpi.size, commId)] * self.mpi.size or rank != self.mpi.rank:
            raise NcclError(f"rank {rank} of {ndev} comes as {self.mpi.rank} of {self.mpi.size}, or by another id")
        places = self.mpi.allgather(_pci_bus_id(self.device))
        if len(set(places)) < len(places):
            raise NcclError(f"NCCL_ERROR_INVALID_USAGE: invalid usage: GPU {places[rank]} has several ranks")

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):
        _refuse_while_capturing()
        if self.aborted:
            raise NcclError("NCCL_ERROR_INVALID_ARGUMENT: invalid argument")
        assert sendbuf == recvbuf and op == 0, "the stand-in adds up in place"
        self._is_current()
        stream = next(s for s in [_null(self.device), *_streams] if s.ptr == stream and s.device_id == self.device)
        real = np.dtype({6: np.float16, 7: np.float32, 8: np.float64}[datatype])
        memory = next(m for m in _alive if m.begins <= sendbuf < m.begins + max(1, m.array.nbytes)
                      and m.device_id == self.device)  # fmt: skip
        offset = sendbuf - memory.begins
        assert offset + count * real.itemsize <= memory.array.nbytes, "beyond the end of the memory"
        _enqueue(stream, [memory], [memory])
        bytes_ = (ctypes.c_char * memory.array.nbytes).from_address(memory.begins)
        self.sums.append(_Sum(self.mpi, memory, np.ndarray(count, real, bytes_, offset)))

    def _is_current(self):
        if self.device != _here.device:
            raise WrongDevice(f"a communicator of GPU {self.device} is used while GPU {_here.device} is current")

    def abort(self):
        """What is under way ends, and leaves what it leaves."""
        self._is_current()
        self.aborted = True
        for pending in self.sums:
            pending.abort()

    def destroy(self):
        self._is_current()
        for pending in [] if self.aborted else self.sums:
            pending.run()


class _Sum:
    """An array that is being added up. It does not keep its memory: that is up to whoever asked for the sum."""

    def __init__(self, mpi, memory, array):
        self.memory, self.array, self.given = weakref.ref(memory), array, array.astype(np.float64)  # also of half
        self.total = np.empty_like(self.given)
        self.request = mpi.Iallreduce(self.given, self.total)
        memory.uploads.append(self)

    def run(self):
        self.request.Wait()
        self._end(self.total)

    def abort(self):
        self._end(np.nan)

    def _end(self, value):
        memory = self.memory()
        if memory and self in memory.uploads:
            memory.uploads.remove(self)
            self.array[...] = value


first_bus = 0  # of this process's GPUs: where they are, so that two processes may have the same or others


def _pci_bus_id(device):
    return f"0000:{first_bus + _checked(device):02X}:00.0"


def _nccl():
    module = types.ModuleType("cupy.cuda.nccl")
    vars(module).update(available=True, get_version=lambda: 22809, NcclError=NcclError,
                        get_unique_id=lambda: tuple(np.random.default_rng().integers(-128, 128, 128).tolist()),
                        NcclCommunicator=NcclCommunicator, NCCL_SUM=0, NCCL_FLOAT16=6, NCCL_FLOAT32=7, NCCL_FLOAT64=8)
    return module


def install(compile):
    """Let ``import cupy`` find the stand-in, and return it. compile(code, options).launch(name, grid, block, arguments)
    runs kernels, on NumPy's arrays."""
    uninstall()
    _real.update({name: sys.modules.pop(name) for name in list(sys.modules)
                  if name.partition(".")[0] in ("cupy", "nvmath")})
    RawModule.compile = staticmethod(compile)
    cupy, cuda = types.ModuleType("cupy"), types.ModuleType("cupy.cuda")
    runtime, driver = types.ModuleType("cupy.cuda.runtime"), types.ModuleType("cupy.cuda.driver")
    vars(cupy).update(_CREATES, ndarray=ndarray, asnumpy=asnumpy, get_array_module=get_array_module, cuda=cuda, e=np.e,
                      RawModule=RawModule, __version__="stand-in", is_stand_in=True, __path__=[], dtype=np.dtype,
                      get_default_memory_pool=_Pool, __getattr__=_of_numpy, newaxis=None, pi=np.pi,
                      from_dlpack=from_dlpack)
    vars(cuda).update(runtime=runtime, driver=driver, Device=Device, Stream=Stream, Event=Event, Memory=Memory,
                      MemoryPointer=MemoryPointer, MemoryPool=MemoryPool, using_allocator=using_allocator,
                      Graph=Graph, get_elapsed_time=get_elapsed_time, get_current_stream=_current,
                      alloc_pinned_memory=PinnedMemoryPointer, is_available=lambda: True, __path__=[],
                      nvrtc=types.SimpleNamespace(getVersion=lambda: (13, 0), **dict.fromkeys(
                          ("createProgram", "compileProgram", "destroyProgram"), lambda *given: None)))
    driver.CUDADriverError = CUDADriverError
    cuda.nccl = _nccl()
    vars(runtime).update(
        CUDARuntimeError=CUDARuntimeError, getDevice=lambda: _here.device, setDevice=lambda i: Device(i).use(),
        deviceGetPCIBusId=_pci_bus_id,
        getDeviceCount=lambda: GPUS, deviceCanAccessPeer=lambda a, b: int(_checked(a) != _checked(b)),
        memGetInfo=lambda: Device().mem_info, driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13000,
        deviceSynchronize=lambda: Device().synchronize(),
        getDeviceProperties=lambda i: {"name": b"stand-in", "major": 9, "minor": 0, "totalGlobalMem": BYTES,
                                       "multiProcessorCount": 132, "warpSize": 32, "id": _checked(i)})
    core, linalg = types.ModuleType("cupy._core"), types.ModuleType("cupy._core._routines_linalg")
    core.__path__, core._routines_linalg, cupy._core = [], linalg, core
    vars(linalg).update(COMPUTE_TYPE_DEFAULT=1, COMPUTE_TYPE_TF32=7, compute_types={},
                        set_compute_type=lambda dtype, kind: linalg.compute_types.update({np.dtype(dtype): kind}))
    nvmath, bindings = types.ModuleType("nvmath"), types.ModuleType("nvmath.bindings")
    nvmath.__path__, bindings.__path__ = [], []
    bindings.cublas = _Cublas("nvmath.bindings.cublas")
    sys.modules.update({m.__name__: m for m in (cupy, cuda, runtime, driver, cuda.nccl, core, linalg, nvmath, bindings,
                                                  bindings.cublas)})
    return cupy


def uninstall():
    """Take it away again, and forget all streams, what the host knew, launches and violations."""
    if getattr(sys.modules.get("cupy"), "is_stand_in", False):
        for name in ("cupy", "cupy.cuda", "cupy.cuda.runtime", "cupy.cuda.driver", "cupy.cuda.nccl", "cupy._core",
                     "cupy._core._routines_linalg", "nvmath", "nvmath.bindings", "nvmath.bindings.cublas"):  # fmt: skip
            del sys.modules[name]
        sys.modules.update(_real)
        _real.clear()
    for state in (_host, _nulls, _streams, _waiting, launches, violations, only_read):
        state.clear()
    _here.__init__()
