/** Whether the shortcuts are shown. */
export const help = $state({ open: false });
