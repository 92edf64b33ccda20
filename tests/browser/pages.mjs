export const secrets=[];
