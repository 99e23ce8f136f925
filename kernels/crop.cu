// See crop.py.

// row (c, h, w): one pixel of all images
KERNEL crop(Element *y, int C, int H, int W, int N,
            const Whole *pictures, int, int rows, int columns, int,
            const Whole *places, int, int,
            const Element *mean, int, int, int,
            const Element *noise, int, int,
            Real scale)
{
    for (int row = warp(); row < C * H * W; row += warps()) {
        int w = row % W;
        int h = row / W % H;
        int c = row / W / H;
        for (int n = lane(); n < N; n += WARP) {
            int i = places[n] + h;
            int j = places[N + n] + (places[2 * N + n] ? W - 1 - w : w);
            Real pixel = pictures[((n * rows + i) * columns + j) * C + c];
            y[row * N + n] = (pixel - mean[(c * rows + i) * columns + j] + noise[c * N + n]) * scale;
        }
    }
}
