// See max_pool2d.py.

// row (c, p, q): one window of all images
KERNEL max_pool2d(Element *y, int C, int P, int Q, int N,
                  Whole *winner, int, int, int, int,
                  const Element *x, int, int H, int W, int,
                  int R, int S, int down, int right, int top, int left)
{
    for (int row = warp(); row < C * P * Q; row += warps()) {
        int q = row % Q;
        int p = row / Q % P;
        int c = row / Q / P;
        for (int n = lane(); n < N; n += WARP) {
            Real best = 0;
            int place = -1;
            for (int r = 0; r < R; r++)
                for (int s = 0; s < S; s++) {
                    int h = p * down + r - top;
                    int w = q * right + s - left;
                    if (0 <= h && h < H && 0 <= w && w < W) {
                        Real value = x[((c * H + h) * W + w) * N + n];
                        // the first maximum stays; NaN wins a window, and the first NaN stays
                        if (place < 0 || value > best || (value != value && best == best)) {
                            best = value;
                            place = r * S + s;
                        }
                    }
                }
            y[row * N + n] = best;
            winner[row * N + n] = place;
        }
    }
}

// row (c, h, w): one pixel of all images collects from every window that it won
KERNEL max_pool2d_backward(Element *gx, int C, int H, int W, int N,
                           const Element *gy, int, int P, int Q, int,
                           const Whole *winner, int, int, int, int,
                           int R, int S, int down, int right, int top, int left)
{
    for (int row = warp(); row < C * H * W; row += warps()) {
        int w = row % W + left;
        int h = row / W % H + top;
        int c = row / W / H;
        int first_p = h < R ? 0 : (h - R) / down + 1;
        int first_q = w < S ? 0 : (w - S) / right + 1;
        for (int n = lane(); n < N; n += WARP) {
            Real sum = 0;
            for (int p = first_p; p < P && p * down <= h; p++)
                for (int q = first_q; q < Q && q * right <= w; q++) {
                    int window = ((c * P + p) * Q + q) * N + n;
                    if (int(winner[window]) == (h - p * down) * S + (w - q * right))
                        sum += gy[window];
                }
            gx[row * N + n] = sum;
        }
    }
}
