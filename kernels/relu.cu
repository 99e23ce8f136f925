// See relu.py. A thread takes single elements.

KERNEL relu(Real *y, int items, int size, const Real *x, int, int)
{
    for (int i = thread(); i < items * size; i += threads())
        y[i] = x[i] < 0 ? 0 : x[i];  // NaN < 0 is false: NaN stays NaN
}

KERNEL relu_backward(Real *gx, int items, int size, const Real *gy, int, int, const Real *y, int, int)
{
    for (int i = thread(); i < items * size; i += threads())
        gx[i] = y[i] > 0 ? gy[i] : 0;
}
