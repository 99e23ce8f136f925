// See cross_entropy.py.

// a block for every 32 images: a lane takes one of them, and the warps share its classes
KERNEL cross_entropy(Element *y, int K, int N, Element *loss, int, const Element *x, int, int, const Whole *labels, int)
{
    __shared__ Real part[32][WARP];  // what each warp found; a block has at most 32
    __shared__ double sums[32][WARP];
    int first = threadIdx.x / WARP, step = blockDim.x / WARP;
    for (int images = blockIdx.x * WARP; images < N; images += gridDim.x * WARP) {
        int n = images + lane();
        int classes = n < N ? K : 0;  // beyond the last image a thread only waits for the others

        Real top = n < N ? Real(x[n]) : 0;
        for (int k = first; k < classes; k += step)
            if (x[k * N + n] > top)
                top = x[k * N + n];
        part[first][lane()] = top;
        __syncthreads();
        for (int other = 0; other < step; other++)
            if (part[other][lane()] > top)
                top = part[other][lane()];
        __syncthreads();

        double total = 0;  // of many classes, each adds less than single precision can see
        for (int k = first; k < classes; k += step) {
            Real power = exp(x[k * N + n] - top);
            y[k * N + n] = power;
            total += power;
        }
        sums[first][lane()] = total;
        __syncthreads();
        total = 0;
        for (int other = 0; other < step; other++)
            total += sums[other][lane()];
        __syncthreads();

        for (int k = first; k < classes; k += step)
            y[k * N + n] = Real(y[k * N + n] / total);
        if (first == 0 && n < N)
            loss[n] = Real(log(total)) - (x[labels[n] * N + n] - top);
    }
}

// row k: one class of all images
KERNEL cross_entropy_backward(Element *gx, int K, int N, const Element *y, int, int, const Whole *labels, int,
                              const Element *gy, int)
{
    Real share = gy[0] / N;
    for (int k = warp(); k < K; k += warps())
        for (int n = lane(); n < N; n += WARP)
            gx[k * N + n] = (y[k * N + n] - (labels[n] == k)) * share;
}
