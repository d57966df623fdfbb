NTSTATUS
RoundToSectors(size_t Length, size_t *Rounded)
{
    *Rounded = WDF_ALIGN_SIZE_UP(Length, 512);
    if (*Rounded < Length) {
        return STATUS_INTEGER_OVERFLOW; /* it wrapped */
    }
    return STATUS_SUCCESS;
}
