// See relu.py. A thread takes single elements.

KERNEL relu(Element *y, int items, int size, const Element *x, int, int)
{
    for (int i = thread(); i < items * size; i += threads())
        y[i] = x[i] < 0 ? 0 : Real(x[i]);  // NaN < 0 is false: NaN stays NaN
}

KERNEL relu_backward(Element *gx, int items, int size, const Element *gy, int, int, const Element *y, int, int)
{
    for (int i = thread(); i < items * size; i += threads())
        gx[i] = y[i] > 0 ? Real(gy[i]) : 0;
}
