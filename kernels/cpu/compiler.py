"""Numba's compiler, told to optimise each function once: this takes less than half of the time.

Numba makes every function a library of its own: optimised, turned into machine code, and given entries for Python and C. A
function that calls it takes the code over and does all that again: four times over for a kernel with a loop over threads, which
becomes three more functions. Here a function has two compilations, each made where it is needed:

    called from Python          a `Whole`: optimised, turned into machine code, kept on disk
    called by another kernel    a `Part`: only the code that is taken over, as Numba wrote it
"""

import functools

from numba import _dynfunc, njit  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from tinydx_kernels.cpu.ahead import watch


class Library(JITCodeLibrary):
    """Code whose loops use the CPU's widest vectors; for some of Intel's, LLVM would take half of a register."""

    def add_ir_module(self, module):
        """Take over the functions that Numba wrote."""
        for function in module.functions:
            set.add(function.attributes, '"prefer-vector-width"="512"')  # llvmlite's own `add` does not know it
        super().add_ir_module(module)


class Whole(Library):
    """The code of a kernel with all that it calls."""

    def _optimize_final_module(self):
        """Twice: after the inner loops, the loops around them can be unrolled, too (pooling after convolution: 7 % faster)."""
        super()._optimize_final_module()
        super()._optimize_final_module()


class Part(Library):
    """Code that is only taken over by others, and never runs by itself."""

    def _ensure_finalized(self):
        """Nothing: there is no machine code to be made."""

    def get_pointer_to_function(self, name):
        """0: none of its functions has an address."""
        return 0

    def _get_module_for_linking(self):
        """The code together with that of the libraries it calls; a function that comes from two of them is one."""
        if self._shared_module is None:
            for library in dict.fromkeys(self._linking_libraries):
                if hasattr(library, "_reload_init"):  # newer versions of Numba
                    self._reload_init.update(library._reload_init)
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
            for function in self._final_module.functions:
                if not function.is_declaration and function.linkage.name == "external":
                    function.linkage = "linkonce_odr"
            self._shared_module = self._final_module
        return self._shared_module


class Parts:
    """A code generator whose libraries are parts; all else is Numba's."""

    def __init__(self, codegen):
        self.codegen = codegen

    def create_library(self, name):
        """A new library."""
        return Part(self.codegen, name)

    def __getattr__(self, name):
        return getattr(self.codegen, name)


class WholeCompiler(Compiler):
    """Compiles a function into a library of this kind, and what Numba makes beside it, such as the body of a loop, into parts."""

    kind: type[JITCodeLibrary] = Whole

    def __init__(self, *arguments):
        super().__init__(*arguments)
        target = self.state.targetctx  # a copy that Numba makes for this compilation
        codegen = target.codegen()
        self.state.library = self.kind(codegen, "kernel")
        self.state.library.enable_object_caching()
        target.codegen = lambda: Parts(codegen)
        target.get_executable = functools.partial(_executable, target)


class PartCompiler(WholeCompiler):
    """Compiles a function that kernels call."""

    kind = Part


class ApartCompiler(PartCompiler):
    """Compiles a function that kernels call with arrays that do not overlap."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.state.flags.noalias = True  # Numba knows this flag, but has no option for it


def _executable(target, library, description, env):
    """What Python can call; of a part only an object that stands for it, as where Numba makes no entry for Python."""
    if isinstance(library, Part):
        return _dynfunc.make_function(description.lookup_module(), description.qualname, "", 0, env, (library,))
    return type(target).get_executable(target, library, description, env)


def compiled_part(function, compiler=PartCompiler, **options):
    """A function that only kernels call, compiled with Numba's options into each of them."""
    return njit(pipeline_class=compiler, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)


def compiled_whole(function, **options):
    """A kernel, compiled with Numba's options; another kernel that calls it takes it as a `part`."""
    kernel = njit(pipeline_class=WholeCompiler, no_cfunc_wrapper=True, **options)(function)
    inner = compiled_part(function, **options)
    kernel.get_call_template, kernel.get_overload = inner.get_call_template, inner.get_overload
    return watch(kernel)
