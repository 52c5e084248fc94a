"""Products with large weights, AdamW on such a product, and dropout, compiled for this processor by LLVM.

A layer of a large head on a batch of 16 is bound by its weights, which do not fit into a cache; libraries of matrix products
are made for other shapes. Three functions go over a weight once, and ask beforehand for what comes next:

- `forward`: x W + b;
- `backward`: g W^T;
- `update`: AdamW with the gradient x^T g, which is never written: a few numbers of it at a time are computed in registers.

Dropout goes over its numbers once, where torch does so four times, and computes GELU on the way; dropout, residual and layer
normalisation are one function too. All are written in LLVM's intermediate language (`product_code`, `pass_code`, with the
words of `vectors`) and compiled by the package llvmlite in each process that needs them, the three for each multiple of eight
rows (0.1 s; nothing is kept on disk). With AVX-512 the first two also serve the many rows of frames, 16 at a time, and
`gradient` writes x^T g. Where they are not used (see `compiler.width`), torch does the same but for rounding.
`benchmarks/train.md` says what they gain.
"""
