// See row2col.py. No GPU is asked for it yet: columns.py lets a GPU make all columns of a block at once, by im2col.

// line (row, c, s, t): one pixel of the kernel at one place of the output, of all images
KERNEL row2col(Element *columns, int rows, int C, int S, int places, int N,
               const Element *x, int, int H, int W, int,
               int h, int q, int right, int top, int left)
{
    for (int line = warp(); line < rows * C * S * places; line += warps()) {
        int w = (q + line % places) * right + line / places % S - left;
        int c = line / places / S % C;
        int row = h + line / places / S / C - top;
        bool inside = 0 <= row && row < H && 0 <= w && w < W;
        for (int n = lane(); n < N; n += WARP)
            columns[line * N + n] = inside ? Real(x[((c * H + row) * W + w) * N + n]) : 0;
    }
}
