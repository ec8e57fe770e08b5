-- One row for each track that was bought, in the columns that `usage.toml` reads.
select invoice_line_id as "InvoiceLineId", customer_id as "CustomerId", invoice_date as "InvoiceDate",
       quantity as "Quantity"
from invoice_line
join invoice on invoice.invoice_id = invoice_line.invoice_id
order by invoice_line_id
