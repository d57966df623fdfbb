#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "membuf._native", .m_size = -1};
PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&module); }
