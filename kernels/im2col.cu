// See im2col.py.

// row (c, r, s, t): one pixel of the kernel at one output position, of all images
KERNEL im2col(Element *columns, int C, int R, int S, int positions, int N,
              const Element *x, int, int H, int W, int,
              int start, int Q, int down, int right, int top, int left)
{
    for (int row = warp(); row < C * R * S * positions; row += warps()) {
        int t = start + row % positions;
        int s = row / positions % S;
        int r = row / positions / S % R;
        int c = row / positions / S / R;
        int h = t / Q * down + r - top;
        int w = t % Q * right + s - left;
        bool inside = 0 <= h && h < H && 0 <= w && w < W;
        for (int n = lane(); n < N; n += WARP)
            columns[row * N + n] = inside ? Real(x[((c * H + h) * W + w) * N + n]) : 0;
    }
}

// row (c, h, w): one pixel of all images collects from every column that it went into
KERNEL col2im(Element *x, int C, int H, int W, int N,
              const Element *columns, int, int R, int S, int positions, int,
              int start, int Q, int down, int right, int top, int left)
{
    for (int row = warp(); row < C * H * W; row += warps()) {
        int w = row % W + left;
        int h = row / W % H + top;
        int c = row / W / H;
        for (int n = lane(); n < N; n += WARP) {
            Real sum = x[row * N + n];
            for (int r = h % down, p = h / down; r < R && p >= 0; r += down, p--)
                for (int s = w % right, q = w / right; s < S && q >= 0; s += right, q--) {
                    int t = p * Q + q - start;
                    if (q < Q && 0 <= t && t < positions)
                        sum += columns[(((c * R + r) * S + s) * positions + t) * N + n];
                }
            x[row * N + n] = sum;
        }
    }
}
